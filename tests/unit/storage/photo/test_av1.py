"""AV1 headers: the size and the colours of what libaom encodes, one whole picture, sequences of the other kind."""

from collections.abc import Sequence

import pytest

from storage.photo.av1 import picture
from storage.photo.coded import UNITS_MAX, Coded, Unreadable
from tests.unit.storage.photo import heifs

MODEL = ((1, 1), (1, 32), (30, 32), (0, 1), (1, 1), (9, 5), (1, 32), (9, 5), (4, 5))


def read(configuration: bytes, data: bytes) -> Coded:
    """The headers of an item, given its `av1C` box with its header."""
    return picture(memoryview(configuration)[8:], memoryview(data))


def bits(*numbers: tuple[int, int]) -> bytes:
    """Numbers, each with its length in bits, padded to bytes."""
    text = "".join(format(number, f"0{size}b") for number, size in numbers if size)
    return int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big")


def unit(kind: int, content: bytes) -> bytes:
    """An OBU with a length."""
    assert len(content) < 128
    return bytes((kind << 3 | 2, len(content))) + content


def sequence(
    size: tuple[int, int] = (512, 384), *, timing: Sequence[tuple[int, int]] = ((0, 1),), ids: bool = False
) -> bytes:
    """A sequence header of a film, as cameras write it."""
    points: Sequence[tuple[int, int]] = [(0, 1), (0, 5), (0, 12), (4, 5)]
    if timing == MODEL:  # a decoder model: the operating point has none
        points = [*points, (0, 1)]
    return bits(
        *((0, 3), (0, 1), (0, 1), *timing, *points, (15, 4), (15, 4), (size[0] - 1, 16), (size[1] - 1, 16)),
        *([(1, 1), (2, 4), (1, 3)] if ids else [(0, 1)]),
        *((0, 3), (0, 4), (1, 1), (0, 2), (1, 1), (1, 1), (6, 3), (0, 3)),
        *((1, 1), (0, 1), (1, 1), (9, 8), (16, 8), (9, 8), (0, 1), (0, 2), (0, 1), (0, 1), (1, 1)),
    )


def frame(*, shown: int = 1, kind: int = 0, time_bits: int = 0, id_bits: int = 0, resized: int = 0) -> bytes:
    """The start of a frame header of that sequence; screen content is chosen by it."""
    return bits(
        (0, 1), (kind, 2), (shown, 1), (5, time_bits), (0, 1), (1, 1), (0, 1), (3, id_bits), (resized, 1), (0, 32)
    )


CONFIG = b"\0\0\0\x0cav1C\x81\0\x4c\0"  # 10 bits, 4:2:0


@pytest.mark.parametrize("size", [(64, 64), (80, 64), (99, 65), (512, 384)])
@pytest.mark.parametrize(
    ("chroma", "halved"), [("4:2:0", (1, 1)), ("4:2:2", (1, 0)), ("4:4:4", (0, 0)), ("4:0:0", (0, 0))]
)
def test_size_and_format_are_those_of_the_picture(size: tuple[int, int], chroma: str, halved: tuple[int, int]) -> None:
    """As libaom writes them."""
    found = read(*heifs.coded("AVIF", size, subsampling=chroma))

    assert (found.width, found.height, found.halved, found.look[:2]) == (*size, halved, (8, chroma == "4:0:0"))


@pytest.mark.parametrize(
    ("header", "start"),
    [
        (sequence(), frame()),
        (sequence(ids=True), frame(id_bits=6)),
        (sequence(timing=MODEL), frame(time_bits=5)),
        (sequence(timing=[(1, 1), (1, 32), (30, 32), (1, 1), (0, 0), (1, 1), (0, 1)]), frame()),
    ],
)
def test_a_picture_of_a_film_is_read_too(header: bytes, start: bytes) -> None:
    """With numbers of frames, or times; its code points are those of the sequence."""
    found = read(CONFIG, unit(2, b"") + unit(1, header) + unit(6, start))

    assert (found.width, found.height, found.code_points, found.full_range) == (512, 384, (9, 16, 9), False)
    assert found.look[0] == 10


def test_only_a_picture_of_its_own_and_of_full_size_is_taken() -> None:
    """One that is hidden, that needs others, that has another size than its sequence, or of which there are several."""
    whole = unit(1, sequence())
    assert read(CONFIG, whole + whole + unit(3, frame()) + unit(4, b"")).units == 4
    for rest in (
        b"",
        unit(6, frame(shown=0)),
        unit(6, frame(kind=1)),
        unit(6, frame(kind=2)),
        unit(6, frame(resized=1)),
        unit(6, b"\x80" + frame()),
        unit(6, frame()) * 2,
        unit(6, frame()) + unit(1, sequence((64, 64))),
    ):
        with pytest.raises(Unreadable):
            read(CONFIG, whole + rest)
    with pytest.raises(Unreadable):
        read(CONFIG, unit(6, frame()) + whole)


def test_a_configuration_says_what_its_sequence_says() -> None:
    """Depth and planes: Pillow chooses the mode by the configuration."""
    whole = unit(1, sequence()) + unit(6, frame())
    for wrong in (b"\x0c", b"\x5c", b"\x6c"):
        with pytest.raises(Unreadable):
            read(CONFIG[:10] + wrong + CONFIG[11:], whole)


def test_a_picture_cut_at_any_byte_is_unreadable() -> None:
    """Or one that has no bytes but zeros."""
    configuration, data = heifs.coded("AVIF")
    for wrong in (*(data[:end] for end in range(len(data))), bytes(len(data)), b"\x0a" + b"\xff" * 20):
        with pytest.raises(Unreadable):
            read(configuration, wrong)


def test_units_are_read_so_far_and_no_further() -> None:
    """A limit from both sides."""
    configuration, data = heifs.coded("AVIF")
    units = read(configuration, data).units

    assert read(configuration, data + unit(15, b"") * (UNITS_MAX - units)).units == UNITS_MAX
    with pytest.raises(Unreadable):
        read(configuration, data + unit(15, b"") * (UNITS_MAX - units + 1))
