"""Differences of counters: steady, restarted, new, and not known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.watching.differences import Reading, restarted, rise
from tests.unit.deploy.watching.pages import STARTED, node, reading

ACCEPTED = {"outcome": "accepted"}


def accepted(before: Reading | None, after: Reading, since: float = 2_000.0) -> tuple[float, float]:
    """How many pairs were accepted, in how many seconds."""
    found = rise(before, after, watched_since=since)
    return found.total("snapsurge_posts_total", **ACCEPTED), found.seconds


def test_a_counter_rises_by_its_difference() -> None:
    """In the time between the two readings of this target."""
    assert accepted(reading(2_000, node(accepted=5)), reading(2_002, node(accepted=9))) == (4.0, 2.0)


def test_a_new_process_counts_from_nothing() -> None:
    """Its start time tells, also when it has counted further than the one before."""
    before = reading(2_000, node(accepted=5))
    assert accepted(before, reading(2_002, node(accepted=3, started=2_001.0))) == (3.0, 2.0)
    assert accepted(before, reading(2_002, node(accepted=9, started=2_001.0))) == (9.0, 2.0)
    assert restarted(before, reading(2_002, node(started=2_001.0)))
    assert not restarted(before, reading(2_002, node(started=STARTED + 1.0)))  # the library rounds boot times


def test_a_counter_that_fell_is_a_new_one_even_if_no_start_is_told() -> None:
    """As Prometheus takes it."""
    old, new = (f'snapsurge_posts_total{{outcome="accepted"}} {count}' for count in (5, 3))
    assert accepted(reading(2_000, old), reading(2_002, new)) == (3.0, 2.0)
    assert not restarted(reading(2_000, old), reading(2_002, new))


def test_a_series_that_appears_in_a_known_process_rose_from_nothing() -> None:
    """`rate()` of Prometheus loses this value."""
    before = reading(2_000, f"process_start_time_seconds {STARTED}")
    assert accepted(before, reading(2_002, node(accepted=7))) == (7.0, 2.0)


def test_a_target_seen_for_the_first_time_counts_only_if_it_is_new() -> None:
    """One that started before the last round may have counted for hours."""
    assert accepted(None, reading(2_002, node(accepted=7, started=2_001.0))) == (7.0, 1.0)
    assert accepted(None, reading(2_002, node(accepted=7, started=2_000.0))) == (0.0, 0.0)
    assert accepted(None, reading(2_002, 'snapsurge_posts_total{outcome="accepted"} 7')) == (0.0, 0.0)


def test_a_clock_that_was_set_back_gives_no_rate() -> None:
    """Nor a division by zero."""
    assert accepted(reading(2_000, node()), reading(2_000, node(accepted=1))) == (0.0, 0.0)
    assert accepted(reading(2_000, node()), reading(1_999, node(accepted=1))) == (0.0, 0.0)


@given(lives=st.lists(st.lists(st.integers(0, 50), min_size=1, max_size=5), min_size=1, max_size=5))
@pytest.mark.parametrize("told", [True, False])
def test_the_rises_of_all_lives_add_up(told: bool, lives: list[list[int]]) -> None:  # noqa: FBT001 - parametrized
    """Whatever a process counted until it was last read is in the sum; without start times a restart may hide some."""
    at, total, expected, before = 2_000.0, 0.0, 0, None
    for life, gains in enumerate(lives):
        count = 0
        for gain in gains:
            at, count = at + 2, count + gain
            text = f'snapsurge_posts_total{{outcome="accepted"}} {count}'
            text += f"\nprocess_start_time_seconds {1_000 * (life + 1)}" if told else ""
            after = reading(at, text)
            total += rise(before, after, watched_since=at).total("snapsurge_posts_total")
            before = after
        expected += count
    first = lives[0][0]  # The first page of the first life is where counting begins.
    assert total == expected - first if told else total <= expected - first
