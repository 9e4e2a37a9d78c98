"""Health rules: what is a rule, and when each of them is broken, from both sides of its limit."""

import pytest

from bench.outcome import Attempt, Outcome
from bench.replay.beats import Beat, Ended
from bench.replay.check import Sent
from bench.replay.rules import SAMPLES_MIN, WINDOW_S, BadRule, Health, Rule, parse

T0 = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("shed>5%", Rule("shed", 5.0, "shed>5%")),
        ("failed>0.5%", Rule("failed", 0.5, "failed>0.5%")),
        ("failed>0%", Rule("failed", 0.0, "failed>0%")),
        ("shed>99.9%", Rule("shed", 99.9, "shed>99.9%")),
        ("p99>2s", Rule("p99", 2000.0, "p99>2s")),
        ("p99>1500ms", Rule("p99", 1500.0, "p99>1500ms")),
        ("queue_oldest>60s", Rule("queue_oldest", 60_000.0, "queue_oldest>60s")),
    ],
)
def test_a_rule_is_a_metric_and_a_limit(text: str, rule: Rule) -> None:
    """A share in per cent, or a time with its unit."""
    assert parse(text) == rule


@pytest.mark.parametrize(
    "text",
    [
        *("", "shed", "shed>", "shed>5", "shed>5s", "shed > 5%", "shed>-5%", "shed>=5%", "shed>5%%", "shed<5%"),
        *("shed>100%", "shed>1e1%", "shed>5%\n", "shed>\u0665%", "Shed>5%", "p99>2", "p99>2%", "p98>2s", "p99>2m"),
        *("queue_oldest>60", "late>1%", "shed>5%,failed>1%", "shed>.5%", "shed>5.%"),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    """With the text and what a rule is."""
    with pytest.raises(BadRule) as caught:
        parse(text)
    assert f"--stop-when {text}: " in str(caught.value)


def beat(*statuses: int, took_ms: float = 100, waiting: tuple[float, ...] = (), generator: int = 1) -> Beat:
    """An upload of one try for each status."""
    tries = [Attempt(T0, T0 + took_ms / 1000, status) for status in statuses]
    ended = (Ended(Outcome(user="u", intended=T0, attempts=(one,)), Sent("", "")) for one in tries)
    return Beat(generator=generator, statuses=statuses, ended=tuple(ended), waiting=waiting)


def health(text: str, *beats: Beat, at: float = T0) -> Health:
    """The rule and what was seen at that time."""
    made = Health([parse(text)])
    made.note(at, beats)
    return made


def test_shares_are_broken_above_their_limit_only() -> None:
    """5 of 100 are not more than 5 %; 6 are. Of two generators, both count."""
    for rule, bad in (("shed>5%", 503), ("failed>5%", 403)):
        assert health(rule, beat(*[201] * 95, *[bad] * 5)).broken(T0) is None
        assert health(rule, beat(*[201] * 94), beat(*[bad] * 6, generator=2)).broken(T0) == f"{rule}: 6.0% in 10 s"


def test_no_answer_is_no_answer_and_a_failure() -> None:
    """It does not count as an answer, so it cannot hide what was shed."""
    assert health("shed>30%", beat(*[503] * 20, *[201] * 20, *[0] * 60)).broken(T0) == "shed>30%: 50.0% in 10 s"
    assert health("failed>50%", beat(*[0] * 30, *[201] * 20)).broken(T0) == "failed>50%: 60.0% in 10 s"


def test_few_samples_are_not_judged() -> None:
    """The first answer of a burst is no 100 %."""
    assert health("shed>5%", beat(*[503] * (SAMPLES_MIN - 1))).broken(T0) is None
    assert health("shed>5%", beat(*[503] * SAMPLES_MIN)).broken(T0) == "shed>5%: 100.0% in 10 s"
    assert health("p99>1ms", beat(*[201] * (SAMPLES_MIN - 1))).broken(T0) is None


def test_what_is_older_than_the_window_does_not_count() -> None:
    """To the second."""
    for age_s, broken in ((WINDOW_S - 0.1, True), (WINDOW_S, False)):
        found = health("shed>5%", beat(*[503] * 50))
        found.note(T0 + age_s, [beat()])
        assert bool(found.broken(T0 + age_s)) is broken


def test_slow_uploads_break_the_percentile() -> None:
    """One of a hundred is the p99; a second slow one is over it."""
    fast, slow = beat(*[201] * 98), beat(201, 201, took_ms=2500)
    assert health("p99>2s", fast, slow).broken(T0) == "p99>2s: 2500.0 ms in 10 s"
    assert health("p99>2s", beat(*[201] * 99), beat(201, took_ms=2500)).broken(T0) is None
    assert health("p99>2500ms", fast, slow).broken(T0) is None
    assert health("p99>2s", fast, beat(403, 403, took_ms=2500)).broken(T0) is None


def test_a_service_that_stands_still_breaks_the_percentile_too() -> None:
    """No upload ends, but those in flight are known to take longer; the latest word of each generator counts."""
    waiting = tuple(T0 - 3 for _ in range(SAMPLES_MIN))
    found = health("p99>2s", beat(waiting=waiting))
    assert found.broken(T0) == "p99>2s: 3000.0 ms in 10 s"
    found.note(T0, [beat(waiting=(T0 - 3,), generator=2)])
    assert found.broken(T0)
    found.note(T0, [beat(generator=1)])
    assert found.broken(T0) is None
    assert health("p99>3s", beat(waiting=waiting)).broken(T0) is None


def test_the_age_of_the_queue_is_its_newest_known() -> None:
    """Unknown for a window is not judged."""
    found = health("queue_oldest>60s")
    assert found.broken(T0) is None
    found.look(T0, 60.0)
    assert found.broken(T0) is None
    found.look(T0 + 1, 60.1)
    assert found.broken(T0 + 1) == "queue_oldest>60s: 60100.0 ms in 10 s"
    assert found.broken(T0 + 1 + WINDOW_S) is None


def test_the_first_broken_rule_is_named() -> None:
    """Of several."""
    found = Health([parse("shed>99%"), parse("failed>1%"), parse("p99>1ms")])
    found.note(T0, [beat(*[201] * 50, *[403] * 50)])

    assert found.broken(T0) == "failed>1%: 50.0% in 10 s"
