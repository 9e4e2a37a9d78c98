"""HEVC parameter sets, written bit by bit: what is read, and each number from both sides of its limit."""

import re

import pytest

from storage.photo.parameter_sets import Sequence, picture, sequence

# Numbers of a sequence set in the order of the syntax: name, bits (0: Exp-Golomb code), value. 1,024 x 768, 4:2:0.
FIELDS = (
    *(("video", 4, 0), ("layers", 3, 0), ("nested", 1, 1), ("profile", 96, 1), ("number", 0, 3), ("chroma", 0, 1)),
    *(("width", 0, 1024), ("height", 0, 768), ("window", 1, 0), ("luma", 0, 0), ("chroma_bits", 0, 0)),
    *(("order", 0, 4), ("ordering", 1, 1), ("held", 0, 3), ("reordered", 0, 2), ("latency", 0, 9)),
    *(("block", 0, 0), ("larger", 0, 3), ("transform", 0, 0), ("transforms", 0, 3), ("inter", 0, 0), ("intra", 0, 1)),
    *(("scales", 1, 0), ("rest", 64, 0)),
)
# The same of a picture set.
PICTURE = (
    *(("number", 0, 5), ("sequence", 0, 3), ("flags", 7, 0), ("first", 0, 2), ("second", 0, 0), ("qp", 0, 0)),
    *(("intra", 2, 0), ("delta", 1, 1), ("depth", 0, 1), ("cb", 0, 3), ("cr", 0, 4), ("weights", 4, 0)),
    *(("tiles", 1, 0), ("sync", 1, 0), ("across", 1, 0), ("deblocking", 1, 1), ("override", 1, 0), ("off", 1, 0)),
    *(("beta", 0, 0), ("tc", 0, 0), ("lists", 1, 0), ("modified", 1, 0), ("merge", 0, 0), ("header", 1, 0)),
    *(("extended", 1, 0), ("extensions", 8, 0), ("rest", 64, 0)),
)
KNOWN = {3: Sequence(3, 1024, 768, (0, 0, 1), (3, 3), (16, 12), False)}


def coded(value: int, size: int) -> str:
    """A number in bits, or in Exp-Golomb code."""
    plain = format(value + (not size), "b")
    return plain.zfill(size) if size else plain.rjust(2 * len(plain) - 1, "0")


def written(fields: tuple[tuple[str, int, int], ...], more: dict[str, str], **changes: int) -> bytes:
    """A set with changes; `more` has the bits that stand behind a field."""
    text = "".join(coded(changes.get(name, value), size) + more.get(name, "") for name, size, value in fields)
    payload = int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big")
    return b"\x42\1" + re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", payload)  # start codes are kept out


def takes(unit: bytes) -> bool:
    """Whether a sequence set is taken."""
    try:
        sequence(unit)
    except ValueError:
        return False
    return True


def test_a_sequence_is_read() -> None:
    """Its number, its size, its format, and its blocks of 64 pixels."""
    assert sequence(written(FIELDS, {})) == KNOWN[3]


@pytest.mark.parametrize(("chroma", "size"), [(0, (1014, 748)), (1, (1004, 728)), (2, (1004, 748)), (3, (1014, 748))])
def test_the_window_is_in_units_of_chroma(chroma: int, size: tuple[int, int]) -> None:
    """5 + 5 samples of the width and 10 + 10 of the height are cut off."""
    window = "".join(coded(value, 0) for value in (5, 5, 10, 10))
    found = sequence(written(FIELDS, {"window": window, "chroma": "0" * (chroma == 3)}, window=1, chroma=chroma))

    assert (found.width, found.height) == size


def test_layers_are_skipped() -> None:
    """With and without a profile and a level, and with a number of pictures of each or of the last alone."""
    layers = "10" + "11" + "00" * 6 + "1" * 88 + "1" * 96
    held = "".join(coded(value, 0) for value in (3, 2, 9))

    for ordering in (0, 1):
        more = {"profile": layers, "latency": held * 2 * ordering}
        assert sequence(written(FIELDS, more, layers=2, ordering=ordering)) == KNOWN[3]


@pytest.mark.parametrize(
    ("name", "most"),
    [
        *(("number", 15), ("luma", 8), ("chroma_bits", 8), ("order", 12), ("held", 15), ("reordered", 4)),
        *(("larger", 3), ("transforms", 3), ("inter", 4), ("intra", 4)),
    ],
)
def test_numbers_of_a_sequence_have_limits(name: str, most: int) -> None:
    """Those of libde265."""
    assert takes(written(FIELDS, {}, **{name: most}))
    assert not takes(written(FIELDS, {}, **{name: most + 1}))


def test_sides_are_whole_blocks() -> None:
    """Of the smallest size; transforms are no larger than blocks, and nothing is cut off."""
    assert takes(written(FIELDS, {}, width=1032))
    assert not takes(written(FIELDS, {}, width=1028))
    assert not takes(written(FIELDS, {}, block=1, larger=2, width=1032))
    assert not takes(written(FIELDS, {}, larger=0, transform=2, transforms=0, intra=0))
    assert not takes(written(FIELDS, {"chroma": "1"}, chroma=3))
    assert not takes(written(FIELDS, {}, chroma=4))
    assert not takes(written(FIELDS, {})[:20])


def number(more: dict[str, str] | None = None, **changes: int) -> int | None:
    """The number of a picture set; None if it is not taken."""
    try:
        return picture(written(PICTURE, more or {}, **changes), KNOWN)
    except (ValueError, KeyError):
        return None


@pytest.mark.parametrize(
    ("name", "most"),
    [
        *(("number", 63), ("first", 15), ("second", 15), ("qp", 52), ("depth", 3), ("beta", 12), ("tc", 12)),
        ("merge", 4),
    ],
)
def test_numbers_of_a_picture_have_limits(name: str, most: int) -> None:
    """Those of libde265; signed ones alternate: 52 is -26, 53 is 27."""
    assert number(**{name: most}) == (most if name == "number" else 5)
    assert number(**{name: most + 1}) is None


def test_a_picture_needs_its_sequence_tiles_that_fit_and_known_extensions() -> None:
    """Tiles of columns and rows of blocks; scaling lists only where the sequence has some."""
    assert number(sequence=4) is None
    for columns, rows, fits in ((15, 11, True), (16, 11, False), (15, 12, False)):
        tiles = coded(columns, 0) + coded(rows, 0) + "11"
        assert (number({"sync": tiles}, tiles=1) == 5) is fits
    for width, fits in ((14, True), (15, False)):
        tiles = coded(1, 0) + coded(0, 0) + "0" + coded(width, 0) + "1"
        assert (number({"sync": tiles}, tiles=1) == 5) is fits
    assert number(lists=1) is None
    assert number(extended=1, extensions=0x80) == 5
    assert number(extended=1, extensions=0x40) is None
