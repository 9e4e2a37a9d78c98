"""ingest.parked: which parked upload goes first, and what counts as activity, from both sides."""

import pytest

from ingest.parked import ACTIVE_BYTES, Parked
from ingest.places import Place

KIB = 1024


def place(since: float, came: int, length: int = 1000 * KIB) -> Place:
    """An upload that began then, of which so many bytes have come."""
    made = Place("u", length, since)
    made.received = made.held = came
    return made


def test_the_least_recently_active_goes_first() -> None:
    """Whatever the order in which they were parked; the bytes are those that they hold."""
    parked, places = Parked(), [place(0, 100 * KIB), place(0, 200 * KIB), place(0, 300 * KIB)]
    for one, now in zip(places, (30.0, 10.0, 20.0), strict=True):
        parked.add(one, now)
    assert (len(parked), parked.bytes) == (3, 600 * KIB)
    went = []
    while oldest := parked.oldest:
        went.append(oldest)
        parked.remove(oldest)
    assert went == [places[1], places[2], places[0]]
    assert (len(parked), parked.bytes) == (0, 0)
    parked.remove(places[0])
    assert parked.bytes == 0


@pytest.mark.parametrize(("more", "renewed"), [(0, False), (1, False), (ACTIVE_BYTES - 1, False), (ACTIVE_BYTES, True)])
def test_only_a_real_amount_of_bytes_renews_a_place(more: int, *, renewed: bool) -> None:
    """A holder who touches the upload keeps the place of the time when bytes came."""
    parked, holder, honest = Parked(), place(0, 800 * KIB), place(0, 200 * KIB)
    parked.add(holder, 10.0)
    parked.add(honest, 20.0)
    parked.remove(holder)
    holder.received += more
    parked.add(holder, 30.0)
    assert parked.oldest is (honest if renewed else holder)


def test_small_amounts_add_up() -> None:
    """Since the last activity that counted."""
    parked, slow, other = Parked(), place(0, 100 * KIB), place(0, 100 * KIB)
    parked.add(slow, 10.0)
    parked.add(other, 20.0)
    for now in (30.0, 40.0):
        assert parked.oldest is slow
        parked.remove(slow)
        slow.received += ACTIVE_BYTES // 2
        parked.add(slow, now)
    assert parked.oldest is other


def test_the_end_of_an_upload_is_an_activity_once() -> None:
    """Its last bytes may be few; afterwards none come."""
    parked, whole, other = Parked(), place(0, 100 * KIB, 100 * KIB + 5), place(0, 100 * KIB)
    parked.add(whole, 10.0)
    parked.add(other, 20.0)
    parked.remove(whole)
    whole.received += 5
    parked.add(whole, 30.0)
    assert parked.oldest is other
    parked.remove(other)
    parked.add(other, 35.0)
    parked.remove(whole)
    parked.add(whole, 40.0)
    parked.remove(other)
    other.received += ACTIVE_BYTES
    parked.add(other, 36.0)
    assert parked.oldest is whole


def test_an_upload_that_never_sent_a_real_amount_counts_from_its_beginning() -> None:
    """However late it is parked."""
    parked, tiny, other = Parked(), place(1.0, 5), place(2.0, 100 * KIB)
    parked.add(other, 5.0)
    parked.add(tiny, 60.0)
    assert parked.oldest is tiny


def test_uploads_of_one_instant_are_told_apart() -> None:
    """Each is removed itself."""
    parked, places = Parked(), [place(0, 100 * KIB) for _ in range(5)]
    for one in places:
        parked.add(one, 7.0)
    for number, one in enumerate([places[3], places[0], places[4]]):
        parked.remove(one)
        assert (one.parked_at, len(parked)) == (None, 4 - number)
