"""Admission counts bytes and requests against its budget, by rank and by pace, from both sides of each limit."""

import random

import pytest

from ingest.admission import (
    LAGGARD_S,
    LAGGARDS_MAX,
    READ_BYTES_MIN,
    READS_PERCENT,
    REVIEW_S,
    USER_UPLOADS_MAX,
    Admission,
    Budget,
    Rank,
)
from ingest.commits import STALL_S, Commits
from ingest.places import PATIENCE_S, Place

NOW = 100.0
KIB, MIB = 1024, 1024 * 1024
LATER = NOW + 5


class Asked(Admission):
    """One that names users by itself and remembers whom it shed."""

    def __init__(self, requests: int = 100, size: int = 1000) -> None:
        super().__init__(Budget(requests_max=requests, bytes_max=size), Commits())
        self.shed: list[Place] = []
        self.users = 0

    def ask(self, length: int, rank: Rank = Rank.HOLDER, now: float = NOW, user: str = "") -> Place | None:
        """A place for a new user's upload, or for this one's."""
        self.users += 1
        place, victims = self.admit(user or f"user{self.users}", length, rank, now)
        self.shed += victims
        return place

    def taken(self, length: int, **more: object) -> Place:
        """A place that there is."""
        place = self.ask(length, **more)  # type: ignore[arg-type]
        assert place is not None
        return place

    def sums_are_right(self) -> bool:
        """Whether what is kept as sums is the sum of the places."""
        places = [place for own in self._users.values() for place in own]
        slow = [place for place in places if place.slow]
        return (
            (self.requests, self.bytes, self.held)
            == (len(places), sum(one.charged for one in places), sum(one.held for one in places))
        ) and (self._slow, self._slow_bytes) == (len(slow), sum(one.charged for one in slow))


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
    asked = Asked(size=10)

    assert not asked.ask(11)
    assert (asked.commits._refused, asked.commits._bound_met) == (True, False)
    asked.commits.growth = 0.0
    assert not all(asked.ask(1) for _ in range(9))
    assert asked.commits._bound_met


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


def test_who_was_shed_as_slow_comes_back_as_a_laggard() -> None:
    """Ticket or not: no room is made or kept for that user, until ten minutes are over or a pair came through."""
    asked = Asked(requests=10, size=10 * MIB)
    for number in range(10):
        asked.ask(20 * MIB, user=f"slow{number}", now=NOW)
    assert asked.requests == 5  # 2 MiB each
    for _ in range(9):
        asked.ask(MIB, now=LATER)
    assert [place.user for place in asked.shed] == [f"slow{number}" for number in range(4, 0, -1)]

    fresh = Asked(requests=10, size=10 * MIB)
    fresh._laggards = dict(asked._laggards)
    back = fresh.taken(20 * MIB, user="slow4", now=LATER)
    assert (back.slow, back.charged) == (True, 0)
    assert fresh.ask(6 * MIB, now=LATER)
    assert not fresh.ask(MIB, user="slow3", now=LATER) or fresh.bytes <= fresh.budget.bytes_max * READS_PERCENT // 100
    fresh.release(back)
    assert not fresh.taken(MIB, user="slow4", now=LATER + LAGGARD_S + 1).slow
    fresh.arrived(quick := fresh.taken(KIB, user="slow2", now=LATER), KIB)
    fresh.whole(quick, LATER + 1)
    assert not fresh.taken(KIB, user="slow2", now=LATER + 1).slow


def test_a_laggard_who_keeps_pace_is_slow_no_more() -> None:
    """It is judged like everybody once its pace can be known."""
    asked = Asked(size=10 * MIB)
    asked._laggards["alice"] = NOW + 60
    back = asked.taken(MIB, user="alice")
    asked.arrived(back, 500 * KIB)
    asked._review(NOW + PATIENCE_S)

    assert (back.slow, back.charged) == (False, MIB)


def test_laggards_are_remembered_within_a_bound() -> None:
    """The oldest is forgotten."""
    asked = Asked()
    asked._laggards = {f"old{number}": NOW + 1 for number in range(LAGGARDS_MAX)}
    place = Place("new", 1, NOW, slow=True)
    asked._enter(place)
    asked._shed(place, [], NOW)

    assert len(asked._laggards) == LAGGARDS_MAX
    assert "old0" not in asked._laggards
    assert asked._laggards["new"] == NOW + LAGGARD_S


def test_a_user_has_so_many_uploads_in_flight_and_the_newest_of_them_stays() -> None:
    """One more costs the user's own that is furthest from its end; one that came whole is not shed."""
    asked = Asked(size=10**9)
    own = [asked.taken(100, user="alice") for _ in range(USER_UPLOADS_MAX)]
    for place, came in zip(own, (40, 10, 20, 30), strict=True):
        asked.arrived(place, came)
    other = asked.taken(100, user="bob")

    assert asked.ask(100, user="alice")
    assert asked.shed == [own[1]]
    assert asked._laggards == {}
    for place in own:
        if not place.gone:
            asked.whole(place, NOW + 1)
    assert asked.ask(100, user="alice")
    assert not any(place in asked.shed for place in (own[0], own[2], own[3], other))


def test_a_user_whose_uploads_all_came_whole_gets_no_further_place() -> None:
    """They wait for the store; so does the user."""
    asked = Asked(size=10**9)
    for _ in range(USER_UPLOADS_MAX):
        asked.whole(asked.taken(100, user="alice"), NOW)

    assert not asked.ask(100, user="alice")
    assert asked.shed == []


def test_a_user_may_announce_a_quarter_of_the_budget_but_one_upload_in_any_case() -> None:
    """Exactly a quarter passes; a byte more costs the user's own."""
    asked = Asked(size=1000)
    first = asked.taken(150, user="alice")

    assert asked.ask(100, user="alice")
    assert asked.shed == []
    assert asked.ask(1, user="alice")
    assert asked.shed == [first]
    assert asked.ask(400, user="bob")


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

    assert asked.commits._receive_s == pytest.approx(0.5)


def test_reads_give_way_to_uploads_that_are_not_slow() -> None:
    """From their part of the budget on; slow uploads do not count."""
    asked = Asked(size=100 * MIB)
    place = asked.taken(READS_PERCENT * MIB)
    asked.arrived(place, READS_PERCENT * MIB // 2)
    assert not asked.reads_give_way
    more = asked.taken(MIB)
    assert asked.reads_give_way
    asked._review(NOW + 60)
    assert more.slow
    assert not asked.reads_give_way


def test_everybody_is_looked_at_now_and_then_only() -> None:
    """A refusal costs no look at thousands: so soon after the last one nothing has changed."""
    asked = Asked(size=2 * MIB)
    asked.usual_s.value = 1.0
    asked.ask(2 * MIB)
    assert not asked.ask(MIB, now=NOW + PATIENCE_S - 0.01)
    assert not asked.ask(MIB, now=NOW + PATIENCE_S - 0.01 + REVIEW_S / 2)

    assert asked.ask(MIB, now=NOW + PATIENCE_S + REVIEW_S)


@pytest.mark.parametrize("seed", range(20))
def test_the_sums_stay_right_whatever_happens(seed: int) -> None:
    """A thousand random steps: no account drifts, held bytes stay in the budget, nothing is left at the end."""
    print(f"seed {seed}")  # noqa: T201 - pytest shows it when the test fails
    rng, asked, now = random.Random(seed), Asked(requests=30, size=MIB), NOW
    places: list[Place] = []
    for _ in range(1000):
        now += rng.expovariate(2)
        live = [place for place in places if not place.gone]
        if not live or rng.random() < 0.4:
            made = asked.ask(rng.randrange(1, 300 * KIB), rng.choice(list(Rank)), now, f"user{rng.randrange(20)}")
            places += [made] if made else []
            if made and rng.random() < 0.3:
                asked.hold(made, rng.randrange(300 * KIB))
            continue
        place = rng.choice(live)
        if rng.random() < 0.2:
            asked.release(place)
        elif not place.whole:
            left = place.length - place.received
            granted, _ = asked.room(place, left, now)
            if granted and not place.gone:
                asked.arrived(place, rng.randrange(granted + 1))
                if place.received == place.length:
                    asked.whole(place, now)
        assert asked.sums_are_right()
        assert asked.held <= asked.budget.bytes_max
    for place in places:
        asked.release(place)

    assert (asked.requests, asked.bytes, asked.held, asked._slow, asked._slow_bytes) == (0, 0, 0, 0, 0)
