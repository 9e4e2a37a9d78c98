"""What one user may have of admission, what laggards may, and that its sums stay right whatever happens."""

import random
from collections.abc import Iterable

import pytest

from ingest.admission import (
    LAGGARD_S,
    LAGGARDS_MAX,
    REVIEW_S,
    USER_UPLOADS_MAX,
    Rank,
)
from ingest.places import PATIENCE_S, Place

from .asking import NOW, Asked

KIB, MIB = 1024, 1024 * 1024
LATER = NOW + 5


def with_laggards(users: Iterable[str], *, size: int = 10 * MIB) -> Asked:
    """An admission without uploads, which shed the uploads of these users as slow at `LATER`, the last user's first."""
    slow = list(users)
    asked = Asked(requests=len(slow), size=size)
    places = [asked.ask(20 * MIB, user=user, now=NOW) for user in slow]
    places += [asked.ask(MIB, now=LATER) for _ in slow]
    assert [place.user for place in asked.shed] == slow[::-1]
    for place in places:
        if place is not None:
            asked.release(place)
    asked.shed.clear()
    return asked


def test_the_user_of_a_slow_upload_that_was_shed_is_a_laggard() -> None:
    """No other upload is shed for a laggard's, with a ticket or without, for ten minutes or until a pair arrived."""
    asked = with_laggards([f"slow{number}" for number in range(5)])
    back = asked.taken(20 * MIB, user="slow4", now=LATER)
    assert (back.slow, back.charged) == (True, 0)
    quick = [asked.taken(MIB, now=LATER) for _ in range(2)]
    assert not asked.ask(MIB, user="slow3", now=LATER)
    assert asked.ask(MIB, now=LATER)
    for place in (back, *quick):
        asked.release(place)
    assert not asked.taken(MIB, user="slow4", now=LATER + LAGGARD_S + 1).slow
    asked.arrived(quick := asked.taken(KIB, user="slow2", now=LATER), KIB)
    asked.whole(quick, LATER + 1)
    assert not asked.taken(KIB, user="slow2", now=LATER + 1).slow


def test_a_laggard_on_pace_is_no_longer_slow() -> None:
    """It is judged by its pace, like every upload, from `PATIENCE_S` on."""
    asked = with_laggards(["alice", "bob"])
    back = asked.taken(MIB, user="alice", now=LATER)
    assert back.slow
    asked.arrived(back, 500 * KIB)
    assert asked.ask(MIB, now=LATER)
    assert not asked.ask(MIB, now=LATER + PATIENCE_S)

    assert (back.slow, back.charged) == (False, MIB)


def test_laggards_are_remembered_within_a_bound() -> None:
    """With one more, the one that was shed first is forgotten."""
    asked = with_laggards([f"slow{number}" for number in range(LAGGARDS_MAX + 1)], size=10**12)

    found = [asked.taken(KIB, user=f"slow{number}", now=LATER).slow for number in (LAGGARDS_MAX, LAGGARDS_MAX - 1, 0)]

    assert found == [False, True, True]


def test_a_user_has_so_many_uploads_in_flight_and_the_newest_of_them_stays() -> None:
    """One more costs the user's own upload that is furthest from its end; a complete one is not shed."""
    asked = Asked(size=10**9)
    own = [asked.taken(100, user="alice") for _ in range(USER_UPLOADS_MAX)]
    for place, came in zip(own, (40, 10, 20, 30), strict=True):
        asked.arrived(place, came)
    other = asked.taken(100, user="bob")

    assert asked.ask(100, user="alice")
    assert asked.shed == [own[1]]
    for place in own:
        if not place.gone:
            asked.whole(place, NOW + 1)
    assert not asked.taken(100, user="alice").slow
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

    assert (asked.requests, asked.bytes, asked.held) == (0, 0, 0)
    assert asked.sums_are_right()
