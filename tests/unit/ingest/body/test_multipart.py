"""Multipart bodies whole and a byte at a time; what is malformed is refused with a word on where."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.body.buffers import Buffer
from ingest.body.multipart import (
    PADDING_BYTES_MAX,
    PART_HEAD_BYTES_MAX,
    PREAMBLE_BYTES_MAX,
    BadMultipart,
    MultipartReader,
    PartTooLarge,
    boundary_of,
)

LIMITS = {"front": 1000, "back": 1000, "meta": 10}


def body(*parts: tuple[str, bytes], end: bytes = b"--x--\r\n") -> bytes:
    """A body of these parts."""
    head = 'Content-Disposition: form-data; name="{}"\r\n\r\n'
    return b"".join(b"--x\r\n" + head.format(name).encode() + data + b"\r\n" for name, data in parts) + end


def read(data: bytes, step: int = 10**9) -> dict[str, bytes]:
    """The parts' bytes, fed in steps; their digests are checked."""
    reader = MultipartReader(b"x", LIMITS, Buffer(len(data)))
    for start in range(0, len(data), step):
        reader.feed(data[start : start + step])
    parts = reader.finish()
    found = {name: bytes(reader.data(part)) for name, part in parts.items()}
    assert all(part.sha256 == sha256(found[name]).hexdigest() for name, part in parts.items())
    return found


@given(st.binary(max_size=300), st.binary(max_size=300), st.integers(1, 64))
def test_parts_come_out_as_they_went_in(front: bytes, back: bytes, step: int) -> None:
    """Whatever the bytes and however they are cut, unless they hold the delimiter."""
    if b"\r\n--x" in front + back:
        return
    assert read(body(("front", front), ("back", back)), step) == {"front": front, "back": back}


def test_what_looks_like_a_boundary_is_data_until_it_is_one() -> None:
    """CRLF, dashes and beginnings of the boundary inside a part, a byte at a time."""
    tricky = b"\r\n--\r\n--\r--x\r\n-\n--x--\r\n\r\n"

    assert read(body(("front", tricky)), 1) == {"front": tricky}


@given(st.binary(max_size=300), st.integers(1, 64))
def test_bytes_may_land_in_the_room_themselves(front: bytes, step: int) -> None:
    """Written where `room` says and told by `landed`, they are the same as fed; the room shrinks to nothing."""
    data = body(("front", front.replace(b"-", b"")))
    reader = MultipartReader(b"x", LIMITS, Buffer(len(data)))
    for start in range(0, len(data), step):
        piece = data[start : start + step]
        reader.room()[: len(piece)] = piece
        reader.landed(len(piece))

    assert len(reader.room()) == 0
    assert bytes(reader.data(reader.finish()["front"])) == front.replace(b"-", b"")


def test_an_epilogue_is_ignored() -> None:
    """RFC 2046: what follows the last boundary says nothing."""
    assert read(body(("front", b"1")) + b"anything --x\r\n", 1) == {"front": b"1"}


@pytest.mark.parametrize("step", [1, 7, 10**9])
@pytest.mark.parametrize(
    "data",
    [
        b"\r\n" + body(("front", b"1"), ("back", b"2")),
        b"\r\n\r\n" + body(("front", b"1"), ("back", b"2")),
        b"This is a message in MIME format: --x\r\n\n--x" + b"\r\n" + body(("front", b"1"), ("back", b"2")),
        body(("front", b"1"), ("back", b"2")).replace(b"--x\r\n", b"--x \t \r\n"),
        body(("front", b"1"), ("back", b"2"), end=b"--x-- \t\r\nepilogue"),
        body(("front", b"1"), ("back", b"2")).replace(b"form-data;", b"\r\n form-data;\r\n\t \r\n "),
    ],
    ids=["a CRLF", "two", "preamble", "padding", "padding at the end", "folded"],
)
def test_what_rfc_2046_allows_is_taken(data: bytes, step: int) -> None:
    """Whole and a byte at a time."""
    assert read(data, step) == {"front": b"1", "back": b"2"}


@pytest.mark.parametrize("step", [1, 10**9])
def test_preamble_and_padding_are_bounded_from_both_sides(step: int) -> None:
    """As many bytes as the limit are taken, one more is refused."""
    for more, taken in ((0, True), (1, False)):
        preamble = b"p" * (PREAMBLE_BYTES_MAX + more) + b"\r\n" + body(("front", b"1"))
        padded = body(("front", b"1")).replace(b"--x\r\n", b"--x" + b" " * (PADDING_BYTES_MAX + more) + b"\r\n")
        for data, why in ((preamble, "no boundary in its first 4096 bytes"), (padded, "more than 256 blanks")):
            if taken:
                assert read(data, step) == {"front": b"1"}
            else:
                with pytest.raises(BadMultipart, match=why):
                    read(data, step)


def test_a_body_without_its_boundary_is_refused_before_its_end() -> None:
    """Nobody sends megabytes to learn that the boundary is another one."""
    reader = MultipartReader(b"y", LIMITS, Buffer(100_000))
    with pytest.raises(BadMultipart, match="no boundary in its first 4096 bytes"):
        reader.feed(body(("front", b"1" * 5000), end=b""))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\n" + body(("front", b""), end=b""), "ends before"),
        (b"preamble\r\n--xx\r\n", "follows a boundary"),
        (b"--x --\r\n", "follows a boundary"),
        (body(("front", b""), end=b""), "ends before"),
        (body(("front", b"1"))[:-12], "ends before"),
        (b"--xx\r\n", "follows a boundary"),
        (b"--x junk\r\n", "follows a boundary"),
        (body(("other", b"")), "unknown part 'other'"),
        (body(("front", b""), ("front", b"")), "comes twice"),
        (b"--x\r\nContent-Type: image/jpeg\r\n\r\n", "no Content-Disposition"),
        (b"--x\r\nContent-Disposition: attachment; name=front\r\n\r\n", "no Content-Disposition"),
        (b'--x\r\nContent-Disposition: form-data; filename="; name=front"\r\n\r\n', "no Content-Disposition"),
        (b"--x\r\nX: " + b"y" * 5000, "headers of a part"),
        (b"", "ends before"),
    ],
)
@pytest.mark.parametrize("step", [1, 10**9])
def test_a_malformed_body_is_refused(data: bytes, why: str, step: int) -> None:
    """Whole or a byte at a time, with a word on what is wrong."""
    with pytest.raises(BadMultipart, match=why):
        read(data, step)


@pytest.mark.parametrize("step", [1, 10**9])
def test_the_headers_of_a_part_are_bounded_from_both_sides(step: int) -> None:
    """4,096 bytes are taken, one more is refused, however they are cut."""
    head = b'Content-Disposition: form-data; name="front"\r\nX: '
    for more, taken in ((0, True), (1, False)):
        data = b"--x\r\n" + head.ljust(PART_HEAD_BYTES_MAX + more, b"y") + b"\r\n\r\n1\r\n--x--"
        if taken:
            assert read(data, step) == {"front": b"1"}
        else:
            with pytest.raises(BadMultipart, match="headers of a part"):
                read(data, step)


def test_a_part_is_refused_as_soon_as_it_passes_its_limit() -> None:
    """Exactly the limit passes; more is refused before the part's end is seen."""
    assert len(read(body(("front", b"1" * 1000)))["front"]) == 1000
    reader = MultipartReader(b"x", LIMITS, Buffer(5000))
    with pytest.raises(PartTooLarge, match="front has more than 1000 bytes"):
        reader.feed(body(("front", b"1" * 1010), end=b""))
    with pytest.raises(PartTooLarge, match="front has more than 1000 bytes"):
        read(body(("front", b"1" * 1001)), 1)


@pytest.mark.parametrize(
    "content_type", ["", "application/json", "multipart/form-data", "multipart/mixed; boundary=x",
                     "multipart/form-data; boundary=", 'multipart/form-data; boundary="ä"',
                     f"multipart/form-data; boundary={'x' * 71}"],
)  # fmt: skip
def test_a_type_without_a_usable_boundary_is_refused(content_type: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(BadMultipart):
        boundary_of(content_type)


def test_boundaries_may_be_quoted() -> None:
    """RFC 2046 allows characters that need it."""
    assert boundary_of('multipart/form-data; boundary="a b:c"') == b"a b:c"
    assert boundary_of("multipart/form-data; boundary=----WebKit:7'x") == b"----WebKit:7'x"
    assert boundary_of("multipart/form-data; charset=utf-8; boundary=x") == b"x"
    assert boundary_of(f"Multipart/Form-Data; boundary={'x' * 70}") == b"x" * 70
