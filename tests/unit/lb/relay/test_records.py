"""lb.relay.records: where records end, whatever the pieces; and how many bytes must still come, never one too many."""

import pytest

from lb.relay.records import HEADER_BYTES, Records

OVERHEAD = 17  # The content's type and the tag of TLS 1.3.


def wire(*contents: int) -> bytes:
    """Records with so many bytes of content."""
    lengths = [content + OVERHEAD for content in contents]
    return b"".join(b"\x17\x03\x03" + length.to_bytes(2, "big") + bytes(length) for length in lengths)


@pytest.mark.parametrize("piece", [1, 2, 3, 4, 5, 6, 7, 22, 23, 24, 100, 4096, 10**6])
def test_records_are_counted_in_pieces_of_any_size(piece: int) -> None:
    """Headers may be cut anywhere, several records may end at once."""
    raw, records = wire(1, 0, 300, 5, 70), Records()
    ended = [records.feed(memoryview(raw[at : at + piece])) for at in range(0, len(raw), piece)]

    assert sum(ended) == 5
    assert ended[-1] >= 1


def test_a_record_without_content_ends_with_its_header() -> None:
    """A length of zero is valid here; the library judges it."""
    records = Records()

    assert records.feed(memoryview(b"\x17\x03\x03\0\0" * 3 + b"\x17")) == 3
    assert records.feed(memoryview(b"\x03\x03\0\0")) == 1


@pytest.mark.parametrize("contents", [(4096, 4096, 100), (16384, 1), (1,) * 9, (0, 0, 50), (9, 16384, 3, 700)])
def test_no_more_is_waited_for_than_comes(contents: tuple[int, ...]) -> None:
    """At any cut: at least one byte, and no more than the connection still brings for what is left of the body."""
    raw = wire(*contents)
    for cut in range(len(raw)):
        records, ended = Records(), 0
        ended = records.feed(memoryview(raw[:cut]))
        left = sum(contents) - sum(contents[:ended])
        if left:
            assert 1 <= records.wire_bytes(left) <= len(raw) - cut, cut


def test_the_rest_of_a_record_is_waited_for_at_once() -> None:
    """Of a large record that has begun, its end; without one, what is left."""
    raw, records = wire(16384), Records()
    assert records.wire_bytes(500) == 500
    records.feed(memoryview(raw[:1400]))

    assert records.wire_bytes(20000) == len(raw) - 1400 + 20000 - 16384 - OVERHEAD
    assert records.wire_bytes(500) == len(raw) - 1400
    assert records.wire_bytes(1) == HEADER_BYTES + 16384 + OVERHEAD - 1400
