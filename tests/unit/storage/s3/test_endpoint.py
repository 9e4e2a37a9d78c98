"""One endpoint: what is logged of states that last and that do not, and what a restart does to what is known of it."""

import asyncio
import logging
from collections.abc import Callable

import pytest

from storage.s3 import endpoint
from storage.s3.endpoint import CHANGES_MAX, SETTLE_S, Endpoint, State


@pytest.fixture
async def one(monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    """An endpoint whose states last quickly."""
    monkeypatch.setattr(endpoint, "LASTS_S", 0.05)
    made = Endpoint("http://a:1", None, 1.0)
    made.wires = made.connections(asyncio.Semaphore(1))
    return made


async def until(holds: Callable[[], bool]) -> None:
    """Wait for the loop's timers."""
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.get_running_loop().run_in_executor(None, lambda: None)


async def test_a_state_that_lasts_is_logged_once(one: Endpoint, caplog: pytest.LogCaptureFixture) -> None:
    """And so is the next one."""
    one.become(State.READS)
    assert caplog.records == []
    await until(lambda: len(caplog.records) == 1)
    assert "http://a:1 has no write quorum" in caplog.text
    one.become(State.UP)
    await until(lambda: len(caplog.records) == 2)

    assert caplog.messages[1] == "store endpoint http://a:1 serves"


async def test_what_breaks_the_rules_is_an_error(one: Endpoint, caplog: pytest.LogCaptureFixture) -> None:
    """It needs a person."""
    one.become(State.UNFIT)
    await until(lambda: bool(caplog.records))

    assert caplog.records[0].levelno == logging.ERROR
    assert "ignores conditional writes" in caplog.text


async def test_a_moment_is_not_logged(one: Endpoint, caplog: pytest.LogCaptureFixture) -> None:
    """The endpoint is as it was."""
    one.become(State.READS)
    one.become(State.UP)
    await until(lambda: one._telling is None)

    assert caplog.records == []


@pytest.mark.parametrize("changes", [CHANGES_MAX - 2, CHANGES_MAX])
async def test_alternating_states_are_one_line(
    one: Endpoint, changes: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With their number, once there are many."""
    for _ in range(changes // 2):
        one.become(State.READS)
        one.become(State.UP)
    monkeypatch.setattr(endpoint, "LASTS_S", 3600.0)
    await until(lambda: one._telling is not None and one._telling.when() > one.changed_at + 1)
    one.close()

    assert len(caplog.messages) == (changes >= CHANGES_MAX)
    assert all(f"is flapping: {changes} state changes" in message for message in caplog.messages)


def test_what_was_never_away_has_settled() -> None:
    """Also after a connection broke: a server that was restarted does not answer at once."""
    one = Endpoint("http://minio:9000", None, 1.0)
    one.agrees = True
    one.lost(away=False)

    assert (one.agrees, one.breaks, one.settled(1000.0)) == (False, 1, True)


def test_what_was_away_settles_from_its_first_answer_on() -> None:
    """For so long and no less; another absence begins it anew."""
    one = Endpoint("http://minio:9000", None, 1.0)
    one.lost(away=True)

    assert not one.settled(1000.0)
    assert not one.settled(1000.0 + SETTLE_S - 0.1)
    assert one.settled(1000.0 + SETTLE_S)
    one.lost(away=True)
    assert not one.settled(1000.0 + SETTLE_S)
