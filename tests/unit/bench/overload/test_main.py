"""The judgement and the running of the overload bench; the run itself is `make bench-overload`."""

import asyncio
import datetime as dt

import pytest

from bench.outcome import Attempt, Outcome
from bench.overload.__main__ import QUICK, Lengths, cut, main, wrongly_late


def outcome(at: float | None, *attempts: Attempt) -> Outcome:
    """Accepted, received then."""
    received = None if at is None else dt.datetime.fromtimestamp(at, dt.UTC)
    return Outcome(user="u", intended=0.0, attempts=attempts, received_at=received)


@pytest.mark.parametrize(("at", "wrong"), [(100.5, False), (105.5, True), (109.5, True), (99.0, True), (None, True)])
def test_who_was_given_a_ticket_is_judged_by_that_try(at: float | None, wrong: bool) -> None:  # noqa: FBT001
    """The first that got one; a time that nobody said is wrong too."""
    attempts = Attempt(100, 101, 503, ticket=True), Attempt(105, 106, 503, ticket=True), Attempt(109, 110, 201)

    assert wrongly_late(outcome(at, *attempts)) is wrong


def test_who_was_given_none_may_be_judged_by_any_try() -> None:
    """The answer may have been lost, the pair not."""
    attempts = Attempt(100, 101, 0), Attempt(105, 106, 201)

    assert [wrongly_late(outcome(at, *attempts)) for at in (100.5, 103.0, 105.5)] == [False, True, False]


async def test_a_part_is_cut_at_its_end() -> None:
    """What is still under way is broken off; what ended before is not waited for."""
    ended: list[str] = []

    async def short() -> None:
        ended.append("short")

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("endless")

    await cut([short, endless], 0.01)
    assert ended == ["short", "endless"]


def test_quick_takes_about_a_minute() -> None:
    """All parts together, without the start."""
    seconds = [each.capacity_s + 4 * each.phase_s + each.after_s + 1.5 * each.slow_s for each in (QUICK, Lengths())]

    assert seconds[0] <= 70 < seconds[1]


def test_the_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` says what is measured."""
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "10 times" in capsys.readouterr().out
