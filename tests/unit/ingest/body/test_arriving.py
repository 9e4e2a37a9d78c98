"""ingest.body.arriving: one request's part of a body, its room, and how it is given up."""

import gc
import weakref
from base64 import b64encode
from hashlib import sha256
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.admission import Admission, Budget, Rank
from ingest.body.arriving import Arriving, Body, Shed
from ingest.body.buffers import Buffer
from ingest.body.digests import BodyDigest
from ingest.body.multipart import MultipartReader
from ingest.commits import Commits
from ingest.places import Place

HEAD = b'--x\r\nContent-Disposition: form-data; name="front"\r\n\r\n'
CONTENT = HEAD + b"some bytes\r\n--x--\r\n"


def admission(size: int = 10_000) -> Admission:
    """One with this budget."""
    return Admission(Budget(requests_max=10, bytes_max=size, parked_bytes_max=size), Commits())


def body(node: Admission, length: int, *, digest: BodyDigest | None = None) -> Body:
    """A body of which nothing has come."""
    place, _ = node.admit("u", length, Rank.FIRST, 0.0)
    assert place is not None
    buffer = Buffer(length)
    return Body(place, buffer, MultipartReader(b"x", {"front": 100}, buffer), digest)


def land(arriving: Arriving, data: bytes) -> None:
    """Write into the room, as the kernel does."""
    arriving.room()[: len(data)] = data
    arriving.landed(len(data))


@pytest.mark.parametrize("cut", range(1, len(CONTENT)))
def test_two_requests_bring_one_body(cut: int) -> None:
    """Wherever the first one ends, the parser and the place go on where they stood."""
    node = admission()
    one = body(node, len(CONTENT))
    first = Arriving(one, node)
    land(first, CONTENT[:cut])
    first.end()
    second = Arriving(one, node)
    assert (second.received, second.bytes_max) == (0, len(CONTENT) - cut)
    second.feed(CONTENT[cut:])
    parts = one.reader.finish()
    assert bytes(one.reader.data(parts["front"])) == b"some bytes"
    assert (one.place.received, node.held) == (len(CONTENT), len(CONTENT))


def test_a_request_that_was_given_up_takes_nothing_more() -> None:
    """Bytes that had come through aiohttp already would change an offset that was told."""
    node = admission()
    one = body(node, len(CONTENT))
    arriving, woken = Arriving(one, node), list[Exception]()
    arriving.wake = woken.append
    arriving.feed(CONTENT[:5])
    error = ValueError("taken over")
    arriving.give_up(error)
    assert woken == [error]
    with pytest.raises(ValueError, match="taken over"):
        arriving.feed(CONTENT[5:])
    assert one.place.received == 5


def test_a_request_that_was_given_up_is_free_when_it_has_ended() -> None:
    """Its error's traceback refers to it: together they would wait for the garbage collector, with a buffer."""
    node = admission()

    def receive(arriving: Arriving) -> None:
        try:
            arriving.place.shed()
            arriving.feed(CONTENT)
        finally:
            arriving.end()

    arriving = Arriving(body(node, len(CONTENT)), node)
    there = weakref.ref(arriving)
    gc.disable()
    try:
        with pytest.raises(Shed):
            receive(arriving)
        del arriving
        assert there() is None
    finally:
        gc.enable()


def test_an_end_that_comes_late_leaves_the_next_request_alone() -> None:
    """The older request ends when the newer one has the place already."""
    node = admission()
    one = body(node, len(CONTENT))
    older = Arriving(one, node)
    newer = Arriving(one, node)
    older.end()
    assert one.place.on_shed is not None
    one.place.shed()
    assert isinstance(newer.error, Shed)
    assert older.error is None
    newer.end()
    assert one.place.on_shed is None


def test_without_memory_nothing_is_taken() -> None:
    """The place was given to another upload."""
    node = admission()
    one = body(node, len(CONTENT))
    arriving = Arriving(one, node)
    node.release(one.place)
    assert len(arriving.room()) == 0
    with pytest.raises(Shed):
        arriving.feed(CONTENT)
    with pytest.raises(Shed):
        arriving.landed(5)
    assert (one.place.received, node.held) == (0, 0)


def test_a_place_that_was_shed_before_its_body_holds_nothing() -> None:
    """Another upload needed it while the user's rate was asked for: its sums must not grow any more."""
    node = admission()
    place, _ = node.admit("u", 100, Rank.FIRST, 0.0)
    assert isinstance(place, Place)
    node.release(place)
    assert not node.hold(place, 50)
    assert (node.held, node.bytes) == (0, 0)


PARTS = {"front": b"\r\n--x-\r\n--", "meta": b"{}", "back": b"\r\n-" * 5 + b"\r\n--"}
FORM = b"preamble" + b"".join(
    b'\r\n--xy \r\nContent-Disposition: form-data;\r\n name="%s"\r\n\r\n%s' % (name.encode(), data)
    for name, data in PARTS.items()
)
FORM += b"\r\n--xy--\r\nepilogue"


@given(cuts=st.lists(st.integers(0, len(FORM)), max_size=8), copied=st.booleans())
@settings(max_examples=400, deadline=None)
def test_a_body_is_read_alike_wherever_its_connections_broke(cuts: list[int], *, copied: bool) -> None:
    """Inside a boundary, between CR and LF, in a part's head, with nothing in between: parts and digests are right."""
    node = admission()
    digest = BodyDigest({"Repr-Digest": [f"sha-256=:{b64encode(sha256(FORM).digest()).decode()}:"]})
    place, _ = node.admit("u", len(FORM), Rank.FIRST, 0.0)
    assert place is not None
    buffer = Buffer(len(FORM))
    one = Body(place, buffer, MultipartReader(b"xy", dict.fromkeys(PARTS, 100), buffer), digest)
    for start, end in pairwise([0, *sorted(cuts), len(FORM)]):
        leg = Arriving(one, node)
        if copied:
            leg.feed(FORM[start:end])
        else:
            land(leg, FORM[start:end])
        leg.end()
        node.park(place, 1.0)
        node.resume(place, 2.0)
    digest.check()
    found = one.reader.finish()
    assert {name: bytes(one.reader.data(part)) for name, part in found.items()} == PARTS
    assert {name: part.sha256 for name, part in found.items()} == {
        name: sha256(data).hexdigest() for name, data in PARTS.items()
    }
