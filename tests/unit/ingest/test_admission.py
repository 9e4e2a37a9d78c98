"""Admission counts bytes and requests against its budget, by rank and by pace, from both sides of each limit."""

import pytest

from ingest.admission import (
    READ_BYTES_MIN,
    READS_PERCENT,
    Rank,
)
from ingest.commits import GROWTH, IN_FLIGHT_MIN, SAMPLES_MIN, STALL_S, WINDOW_S, Commits
from ingest.places import PATIENCE_S

from .asking import NOW, Asked

KIB, MIB = 1024, 1024 * 1024
LATER = NOW + 5


def test_requests_are_admitted_up_to_the_limit() -> None:
    """The last place is given, the next is not, and a release gives it back; a second one gives nothing."""
    asked = Asked(requests=2)
    first, second, third = (asked.ask(1) for _ in range(3))

    assert (bool(first), bool(second), third) == (True, True, None)
    assert first is not None
    asked.release(first)
    asked.release(first)
    assert asked.ask(1)
    assert not asked.ask(1)


def test_bytes_are_admitted_up_to_the_limit() -> None:
    """Exactly the budget fits, a byte more does not, and a refusal counts nothing."""
    asked = Asked(requests=10, size=100)

    assert asked.ask(60)
    assert not asked.ask(41)
    assert asked.ask(40)
    assert repr(asked) == "<Admission 2/10 requests, 0 slow, 100/100 bytes, 0 held>"


@pytest.mark.parametrize(("rank", "percent"), [(Rank.HOLDER, 100), (Rank.FIRST, 90), (Rank.LATE, 80)])
def test_each_rank_fills_its_part_of_the_memory(rank: Rank, percent: int) -> None:
    """To the last byte or request of it; the rest is kept for those before it."""
    by_bytes, by_requests = Asked(), Asked(size=10**9)

    assert by_bytes.ask(1, rank)
    assert not by_bytes.ask(10 * percent, rank)
    assert by_bytes.ask(10 * percent - 1, rank)
    assert [bool(by_requests.ask(1, rank)) for _ in range(percent + 1)] == [True] * percent + [False]


def test_an_empty_node_takes_any_upload_that_fits() -> None:
    """Of whatever rank, up to the whole budget."""
    asked = Asked()
    assert not asked.ask(1001, Rank.LATE)
    assert asked.ask(1000, Rank.LATE)


def test_ranks_follow_ticket_and_window() -> None:
    """A ticket counts before the window."""
    ranks = [Rank.of(retry=retry, late=late) for retry in (True, False) for late in (False, True)]

    assert ranks == [Rank.HOLDER, Rank.HOLDER, Rank.FIRST, Rank.LATE]


def test_a_slow_store_bounds_the_uploads_in_flight() -> None:
    """Ten a second and half a second to send: so many fit that each rank waits no longer than it is worth."""
    asked = Asked()
    asked.commits.rate, asked.commits.growth = 10.0, 1.0
    asked.commits.received(0.5)

    assert [bool(asked.ask(1, Rank.LATE)) for _ in range(11)] == [True] * 10 + [False]
    assert [bool(asked.ask(1, Rank.FIRST)) for _ in range(6)] == [True] * 5 + [False]
    assert [bool(asked.ask(1, Rank.HOLDER)) for _ in range(6)] == [True] * 5 + [False]


def test_slow_uploads_do_not_count_against_what_the_store_commits() -> None:
    """They cost it next to nothing: the bound is on those that will soon be there."""
    asked = Asked(size=10**9)
    asked.commits.rate, asked.commits.growth = 10.0, 1.0
    for _ in range(20):
        asked.ask(20 * MIB)
    assert not asked.ask(1)

    assert asked.ask(1, now=LATER)


def test_a_store_that_hangs_is_sent_nothing_more() -> None:
    """Not even ticket holders, until a PUT ends."""
    asked = Asked()
    asked.commits.began(NOW)

    assert asked.ask(1, now=NOW + STALL_S)
    assert not asked.ask(1, now=NOW + STALL_S + 0.01)
    asked.commits.ended(NOW + STALL_S + 1, STALL_S + 1, waiting=0)
    assert asked.ask(1, now=NOW + STALL_S + 1)


def test_a_refusal_for_want_of_memory_does_not_widen_the_bound_on_uploads() -> None:
    """The bound may be too low only where it was the bound that refused."""
    for length, growth in ((11, 1.0), (1, GROWTH)):
        asked, commits = Asked(size=10), Commits()
        asked.commits, commits.growth = commits, 1.0
        for _ in range(SAMPLES_MIN):
            commits.began(NOW)
        assert not all(asked.ask(length) for _ in range(IN_FLIGHT_MIN + 1))
        for _ in range(SAMPLES_MIN):
            commits.ended(NOW + WINDOW_S, WINDOW_S, waiting=0)
        assert commits.growth == growth


def test_a_newcomer_takes_the_place_of_slow_uploads_the_worst_first() -> None:
    """As many as it needs; not before they can be known to be slow, and never of one that moves."""
    asked = Asked(size=4 * MIB)
    moving = asked.taken(MIB)
    slow = [asked.taken(MIB) for _ in range(3)]
    for place, came in zip([moving, *slow], (900, 3, 1, 2), strict=True):
        asked.arrived(place, came * KIB)
    assert not asked.ask(MIB, now=NOW + PATIENCE_S - 0.01)
    assert asked.shed == []

    # Slow ones are charged for what they hold: the first newcomer finds room beside them.
    assert asked.ask(MIB, now=NOW + 10)
    assert asked.ask(2 * MIB - 4 * KIB, now=NOW + 10)
    assert asked.shed == [slow[1], slow[2]]
    assert not asked.ask(5 * KIB, now=NOW + 10)
    assert asked.shed == [slow[1], slow[2]]
    assert asked.ask(4 * KIB, now=NOW + 10)
    assert asked.shed == [slow[1], slow[2], slow[0]]
    assert not moving.gone
    assert asked.sums_are_right()


def test_nobody_is_shed_for_a_newcomer_who_would_not_fit_all_the_same() -> None:
    """The slow one keeps its place."""
    asked = Asked(size=4 * MIB)
    whole, slow = asked.taken(3 * MIB), asked.taken(MIB)
    asked.arrived(whole, 3 * MIB)
    asked.whole(whole, NOW + 1)
    asked.arrived(slow, 10 * KIB)

    assert not asked.ask(MIB + 1, now=NOW + 10)
    assert asked.shed == []
    assert asked.ask(MIB, now=NOW + 10)
    assert asked.shed == [slow]


def test_places_are_taken_from_slow_uploads_too() -> None:
    """Requests are a budget as well as bytes."""
    asked = Asked(requests=2, size=10**9)
    first = asked.taken(20 * MIB)
    asked.taken(20 * MIB)
    asked.arrived(first, 64 * KIB)
    assert not asked.ask(1, now=NOW + 1)

    assert asked.ask(1, now=LATER)
    assert [one.received for one in asked.shed] == [0]


def test_held_bytes_never_pass_the_budget() -> None:
    """Before each read there is room for it: what is free, or what the one furthest from its end gives up."""
    asked = Asked(size=MIB)
    asked.usual_bytes.value = 100 * KIB
    first, second, third = (asked.taken(1000 * KIB) for _ in range(3))
    assert asked.room(first, 400 * KIB, NOW) == (400 * KIB, [])
    for place, came in ((first, 400), (second, 200), (third, 300)):
        asked.arrived(place, came * KIB)

    free = MIB - 900 * KIB
    assert asked.room(first, 200 * KIB, LATER) == (free, [])
    asked.arrived(first, free - READ_BYTES_MIN + 1)
    assert asked.room(first, 200 * KIB, LATER) == (200 * KIB, [second])
    assert second.gone
    assert asked.sums_are_right()


def test_who_asks_for_room_goes_when_it_is_the_furthest_from_its_end() -> None:
    """And when all the others have come whole, if there is no byte left."""
    asked = Asked(size=MIB)
    whole, asker = asked.taken(MIB // 2), asked.taken(MIB // 2)
    asked.arrived(whole, MIB // 2)
    asked.whole(whole, NOW)
    asked.arrived(asker, MIB // 2)

    assert asked.room(asker, 1, LATER) == (0, [asker])
    assert asked.room(asker, 1, LATER) == (0, [])
    assert not whole.gone


def test_memory_of_a_buffer_that_was_used_before_counts_from_the_start() -> None:
    """If there is no room for it, the buffer has to be emptied; what lands in it costs nothing more."""
    asked = Asked(size=1000)
    first, second = asked.taken(500), asked.taken(500)

    assert asked.hold(first, 600)
    assert not asked.hold(second, 401)
    assert (first.held, asked.held, asked.bytes) == (600, 600, 1100)
    assert asked.room(first, 500, NOW) == (500, [])
    asked.arrived(first, 500)
    assert asked.held == 600


def test_what_is_usual_is_learnt_from_uploads_that_came_whole() -> None:
    """Their time and their length; slow ones do not stretch the bound on uploads in flight."""
    asked = Asked(size=10**9)
    for number in range(200):
        place = asked.taken(1000, now=NOW + number)
        asked.arrived(place, 1000)
        asked.whole(place, NOW + number + 0.5)
        asked.release(place)
    assert asked.usual_s.value == pytest.approx(0.5, rel=0.1)
    assert asked.usual_bytes.value == pytest.approx(1000, rel=0.1)
    place = asked.taken(1000)
    asked.arrived(place, 1000)
    asked.whole(place, NOW + 300)

    asked.commits.rate, asked.commits.growth = 100.0, 1.0
    assert asked.commits.in_flight_max(0.0) == pytest.approx(100.0 * 0.5)


def test_reads_give_way_to_uploads_that_are_not_slow() -> None:
    """From their part of the budget on; slow uploads do not count."""
    asked = Asked(size=100 * MIB)
    place = asked.taken(READS_PERCENT * MIB)
    asked.arrived(place, READS_PERCENT * MIB // 2)
    assert not asked.reads_give_way
    more = asked.taken(MIB)
    assert asked.reads_give_way
    assert not asked.ask(2 * MIB, Rank.LAGGARD, now=NOW + 60)
    assert more.slow
    assert not asked.reads_give_way


def test_what_slow_uploads_hold_does_not_make_reads_give_way() -> None:
    """It is freed for the next upload that needs it; the same bytes of an upload on pace do."""
    asked = Asked(size=100 * MIB)
    place = asked.taken(90 * MIB)
    asked.arrived(place, 80 * MIB)
    assert asked.reads_give_way
    asked.usual_bytes.value = 100 * MIB
    assert not asked.ask(100 * MIB, Rank.LAGGARD, now=NOW + 115)
    assert (place.slow, place.gone, asked.bytes) == (True, False, 80 * MIB)
    assert not asked.reads_give_way
