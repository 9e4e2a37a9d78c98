"""Which export ends when others wait, and what those who are refused are told; each rule from both sides."""

import math

import pytest

from ingest.giving_way import NODE_PART, SLOW_BYTES_S, TURN_S, Running, free_in_s, gives_way


def running(waited_s: float, pace: float = math.inf, *, node_s: float = 0.0, ending: bool = False) -> Running:
    """An export whose client was waited for so long, and which was the node's work for `node_s`."""
    return Running(waited_s + node_s, waited_s, pace, ending)


@pytest.mark.parametrize(
    ("exports", "waiting", "ends"),
    [
        ([], 1, None),
        ([running(TURN_S)], 0, None),
        ([running(TURN_S)], 1, 0),
        ([running(TURN_S - 0.1)], 1, None),
        ([running(TURN_S, SLOW_BYTES_S), running(TURN_S + 1, SLOW_BYTES_S)], 1, 1),
        ([running(1, SLOW_BYTES_S - 1), running(2, SLOW_BYTES_S - 2), running(TURN_S)], 1, 1),
        ([running(1, SLOW_BYTES_S)], 1, None),
        ([running(TURN_S, ending=True), running(TURN_S)], 1, None),
        ([running(TURN_S, ending=True), running(TURN_S)], 2, 1),
        ([running(TURN_S, ending=True), running(1)], 2, None),
    ],
)
def test_the_slowest_and_then_the_longest_gives_way(exports: list[Running], waiting: int, ends: int | None) -> None:
    """Nobody while nobody waits; nobody faster than a phone before its turn is used up; no more than wait."""
    assert gives_way(exports, waiting) == ends


@pytest.mark.parametrize(("node_s", "ends"), [(NODE_PART * TURN_S - 1, None), (NODE_PART * TURN_S, 0)])
def test_the_work_of_the_node_counts_a_part(node_s: float, ends: int | None) -> None:
    """A client that takes all at once is ended late, but is ended: large exports give way, too."""
    assert gives_way([running(0, node_s=node_s)], 1) == ends


@pytest.mark.parametrize(("megabytes_s", "ends"), [(1.5, None), (1.4, 0)])
def test_who_reads_the_largest_photos_at_twelve_megabits_is_not_ended(megabytes_s: float, ends: int | None) -> None:
    """45 MB are sent before the turn is used up, or just not."""
    assert gives_way([running(45 / megabytes_s - 0.1, megabytes_s * 1e6)], 1) == ends


@pytest.mark.parametrize(("ahead", "wait_s"), [(0, 5.0), (1, 20.0), (2, 5.0 + TURN_S), (5, 20.0 + 2 * TURN_S)])
def test_a_place_is_free_when_the_turns_before_are_used_up(ahead: int, wait_s: float) -> None:
    """The first who wait get the places that are free first, the next ones those of a turn later."""
    assert free_in_s([running(TURN_S - 20), running(TURN_S - 5)], ahead) == wait_s
    assert free_in_s([running(TURN_S + 1), running(TURN_S)], 1) == 0.0
