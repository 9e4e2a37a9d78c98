"""Places of readers: so many for all, a share for each, and those that stand still lose theirs when room is short."""

import pytest

from ingest.read_admission import (
    LAGGARD_S,
    LAGGARDS_MAX,
    PAGES_MAX,
    SCRAPES_MAX,
    SHARE,
    STALLED_S,
    USER_WAITERS_MAX,
    WAITERS_MAX,
    Kind,
    Reader,
    Reading,
    ReadLimits,
)

NOW = 100.0


def reading(reads_max: int = 16, bytes_max: int = 8000) -> Reading:
    """With these limits."""
    return Reading(ReadLimits(reads_max=reads_max, bytes_max=bytes_max))


def sent(made: Reading, who: str, *, size: int = 0, moved_at: float = NOW, kind: Kind = Kind.POST) -> Reader:
    """A reader that is admitted and being sent to."""
    reader, victims = made.admit(who, kind, NOW)
    assert reader is not None
    assert victims == []
    assert made.hold(reader, size, NOW) == (True, [])
    reader.moved_at = moved_at
    return reader


@pytest.mark.parametrize(
    ("kind", "most"), [(Kind.POST, 16), (Kind.WAIT, WAITERS_MAX), (Kind.PAGE, PAGES_MAX), (Kind.SCRAPE, SCRAPES_MAX)]
)
def test_each_kind_has_places_of_its_own(kind: Kind, most: int) -> None:
    """The last one is given, the next is not; a release gives it back; other kinds have theirs."""
    made = reading()
    readers = [sent(made, f"user{number}", kind=kind) for number in range(most)]

    assert made.admit("one more", kind, NOW) == (None, [])
    assert all(made.admit("one more", other, NOW)[0] for other in Kind if other is not kind)
    made.release(readers[0])
    made.release(readers[0])
    assert made.admit("one more", kind, NOW)[0]
    assert made.admit("and another", kind, NOW) == (None, [])


def test_a_user_has_an_eighth_of_the_places() -> None:
    """Two of sixteen; the third is refused, another user is not."""
    made = reading()
    for _ in range(16 // SHARE):
        sent(made, "alice")

    assert made.admit("alice", Kind.POST, NOW) == (None, [])
    assert made.admit("bob", Kind.POST, NOW)[0]


def test_a_user_has_an_eighth_of_the_bytes_but_one_answer_in_any_case() -> None:
    """A thousand of eight thousand; what is larger is read alone."""
    made = reading()
    sent(made, "alice", size=600)
    second, _ = made.admit("alice", Kind.POST, NOW)
    assert second is not None

    assert made.hold(second, 401, NOW) == (False, [])
    assert made.hold(second, 400, NOW) == (True, [])
    sent(made, "bob", size=5000)


def test_bytes_are_bounded_for_all() -> None:
    """To the last byte; a release gives them back."""
    made = reading()
    first = sent(made, "alice", size=7000)
    other, _ = made.admit("bob", Kind.POST, NOW)
    assert other is not None

    assert made.hold(other, 1001, NOW) == (False, [])
    assert made.hold(other, 1000, NOW) == (True, [])
    assert repr(made) == "<Reading 2/16 posts, 0/2048 waits, 0/16 pages, 0/4 scrapes, 8000/8000 bytes>"
    made.release(first)
    assert made.bytes == 1000


def test_who_stands_still_longest_goes_when_places_are_short() -> None:
    """Not a moment before its patience is over, not one that waits for us, and not one that moves."""
    made = reading(reads_max=8)
    waiting, _ = made.admit("waits for the store", Kind.POST, NOW - 100)
    still = sent(made, "still", moved_at=NOW - STALLED_S)
    stiller = sent(made, "stiller", moved_at=NOW - STALLED_S - 1)
    for number in range(5):
        sent(made, f"moving{number}", moved_at=NOW - STALLED_S + 0.01)
    first, second, third = (made.admit(f"new{number}", Kind.POST, NOW) for number in range(3))

    assert (first[1], second[1], third) == ([stiller], [still], (None, []))
    assert stiller.gone
    assert waiting is not None
    assert not waiting.gone


def test_who_has_many_places_loses_one_sooner() -> None:
    """Ten places: a tenth of the standstill is enough."""
    made = reading(reads_max=80)
    many = [sent(made, "many", moved_at=NOW - STALLED_S / 10) for _ in range(10)]
    for number in range(70):
        sent(made, f"user{number}", moved_at=NOW - STALLED_S + 0.1)
    reader, victims = made.admit("new", Kind.POST, NOW)

    assert reader is not None
    assert len(victims) == 1
    assert victims[0] in many
    assert made.admit("newer", Kind.POST, NOW) == (None, [])


def test_nobody_loses_a_place_sooner_to_a_read_of_his_own() -> None:
    """A user with all his places gets no further one while his readers move; one that stands still makes room."""
    made = reading(reads_max=80)
    many = [sent(made, "many", moved_at=NOW - STALLED_S + 0.1) for _ in range(10)]
    assert made.admit("many", Kind.POST, NOW) == (None, [])

    reader, victims = made.admit("many", Kind.POST, NOW + 0.1)
    assert reader is not None
    assert victims == many[:1]


def test_bytes_of_those_who_stand_still_are_taken_too() -> None:
    """As many as it needs, and none more."""
    made = reading()
    for number in range(8):
        sent(made, f"still{number}", size=1000, moved_at=NOW - STALLED_S)
    reader, _ = made.admit("new", Kind.POST, NOW)
    assert reader is not None
    held, victims = made.hold(reader, 1500, NOW)

    assert (held, len(victims), made.bytes) == (True, 2, 7500)


def test_a_laggard_takes_nobodys_place_and_leaves_some_free() -> None:
    """Of places and of bytes; for a minute."""
    made = reading(reads_max=10)
    made.stood_still(Reader("laggard", Kind.POST), NOW)
    for number in range(6):
        sent(made, f"still{number}", size=900, moved_at=NOW - STALLED_S)
    back, _ = made.admit("laggard", Kind.POST, NOW)

    assert back is not None
    assert made.hold(back, 201, NOW) == (False, [])
    assert made.hold(back, 200, NOW) == (True, [])
    assert made.admit("laggard", Kind.POST, NOW) == (None, [])
    made.release(back)
    sent(made, "still6", size=900, moved_at=NOW - STALLED_S)
    assert made.admit("laggard", Kind.POST, NOW) == (None, [])
    assert made.admit("laggard", Kind.POST, NOW + LAGGARD_S)[0]


def test_laggards_are_remembered_within_a_bound() -> None:
    """With one more, the oldest is forgotten: it gets a place that laggards must leave free."""
    made = reading(reads_max=10)
    for number in range(LAGGARDS_MAX + 1):
        made.stood_still(Reader(f"user{number}", Kind.POST), NOW)
    for number in range(7):
        assert made.admit(f"other{number}", Kind.POST, NOW)[0]

    assert [bool(made.admit(f"user{number}", Kind.POST, NOW)[0]) for number in (1, LAGGARDS_MAX, 0)] == [
        *(False, False, True)
    ]


def test_one_user_may_have_a_few_waiters() -> None:
    """Whatever the places of all are; another user has his own, and one that ends makes room for the next."""
    made = reading()
    waiters = [made.admit("alice", Kind.WAIT, NOW)[0] for _ in range(USER_WAITERS_MAX)]

    assert None not in waiters
    assert made.has_share("alice", Kind.WAIT)
    assert made.admit("alice", Kind.WAIT, NOW) == (None, [])
    assert not made.has_share("bob", Kind.WAIT)
    assert made.admit("bob", Kind.WAIT, NOW)[0] is not None
    assert waiters[0] is not None
    made.release(waiters[0])
    assert not made.has_share("alice", Kind.WAIT)
    assert made.admit("alice", Kind.WAIT, NOW)[0] is not None
