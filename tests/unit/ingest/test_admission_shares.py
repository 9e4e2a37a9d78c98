"""What one user may have of admission, what laggards may, and that its sums stay right whatever happens."""

import random

import pytest

from ingest.admission import (
    LAGGARD_S,
    LAGGARDS_MAX,
    READS_PERCENT,
    REVIEW_S,
    USER_UPLOADS_MAX,
    Rank,
)
from ingest.places import PATIENCE_S, Place

from .asking import NOW, Asked

KIB, MIB = 1024, 1024 * 1024
LATER = NOW + 5


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
