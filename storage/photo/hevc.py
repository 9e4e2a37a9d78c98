"""The headers of a picture in HEVC (ITU-T H.265; ISO/IEC 14496-15, 8.3): its size, and whether its units are whole.

Pure. A decoder gets the parameter sets of the `hvcC` box and then the units of the item, each behind its length. It
gives no picture, or a blank one, if a unit is cut off or names parameter sets that are not there. Slices are not read.
"""

from collections.abc import Iterator

import msgspec

from .coded import UNITS_MAX, Bits, Coded, Unreadable

_SPS, _PPS = 33, 34
_SLICES = range(32)
_FIRST_OF_A_FILE = range(16, 22)  # pictures that need no other picture: BLA, IDR, CRA
_HEADER_BYTES = 23  # of `hvcC`, up to the lists of parameter sets
_READ_BYTES = 256  # of a parameter set: more than what precedes the numbers that are read here
_NUMBER_MAX = 15
_CHROMA_MAX = 3
_ORDER_BITS_MAX = 16
_LENGTH_BYTES = 4  # of a unit's length; libheif reads no other


class Sequence(msgspec.Struct, frozen=True):
    """What a sequence parameter set says.

    `look`: the bits of luma and chroma beyond 8, and the chroma format; `hvcC` says the same.
    """

    number: int
    width: int
    height: int
    look: tuple[int, int, int]


class Config(msgspec.Struct, frozen=True):
    """The parameter sets of an `hvcC` box: what they say about pictures, and the numbers of the picture ones."""

    sequence: Sequence
    pictures: frozenset[int]


def config(box: memoryview) -> Config:
    """The parameter sets of an `hvcC` box; Unreadable."""
    try:
        return _config(box)
    except (ValueError, IndexError) as error:
        raise Unreadable from error


def picture(known: Config, data: memoryview) -> Coded:
    """What the headers of an item say; Unreadable."""
    try:
        units = _units(known, data)
    except (ValueError, IndexError) as error:
        raise Unreadable from error
    return Coded(known.sequence.width, known.sequence.height, units, known.sequence.look)


def _config(box: memoryview) -> Config:
    sequences, pictures = set[Sequence](), set[tuple[int, int]]()
    for unit in _parameter_sets(box):
        kind, bits = unit[0] >> 1 & 63, Bits(unit[2:])
        if _is_of_another_layer(unit[0], unit[1]):
            continue
        if kind == _SPS:
            sequences.add(_sequence(unit))
        elif kind == _PPS:
            pictures.add((bits.golomb(), bits.golomb()))
    (sequence,) = sequences
    if sequence.look != (box[17] & 7, box[18] & 7, box[16] & 3):
        raise ValueError("parameter sets of another format than the file says")
    return Config(sequence, frozenset(number for number, needed in pictures if needed == sequence.number))


def _is_of_another_layer(first: int, second: int) -> bool:
    """Whether a unit with this header (7.3.1.2) belongs to another layer, which is not decoded."""
    return bool(first & 1 or second >> 3)


def _parameter_sets(box: memoryview) -> Iterator[bytes]:
    """The start of each; ValueError, IndexError."""
    if box[21] & 3 != _LENGTH_BYTES - 1:
        raise ValueError("another length of lengths")
    at, steps = _HEADER_BYTES, 0
    for _ in range(box[22]):
        count = int.from_bytes(box[at + 1 : at + 3], "big")
        at += 3
        for _ in range(count):
            steps += 1
            end = at + 2 + int.from_bytes(box[at : at + 2], "big")
            if end > len(box) or steps > UNITS_MAX:
                raise ValueError("a parameter set is cut off")
            yield bytes(box[at + 2 : min(end, at + 2 + _READ_BYTES)])
            at = end


def _units(known: Config, data: memoryview) -> int:
    """The number of units, which are one picture; ValueError, IndexError."""
    at, units, firsts, length = 0, 0, 0, len(data)
    while at < length:
        units += 1
        start = at + _LENGTH_BYTES
        at = start + int.from_bytes(data[at:start], "big")
        if at > length or at - start < 3 or units > UNITS_MAX:
            raise ValueError("a unit is cut off")
        kind, other = data[start] >> 1 & 63, _is_of_another_layer(data[start], data[start + 1])
        # The first slice of a picture says so in the first bit of its header.
        if kind in _SLICES and not other and data[start + 2] & 0x80:
            firsts += 1
            bits = Bits(bytes(data[start + 2 : start + 8]))
            bits.number(2)
            if kind not in _FIRST_OF_A_FILE or bits.golomb() not in known.pictures:
                raise ValueError("a picture that needs what is not there")
        elif kind == _SPS and _sequence(bytes(data[start : min(at, start + _READ_BYTES)])) != known.sequence:
            raise ValueError("parameter sets of several sizes")
    if firsts != 1:
        raise ValueError("no picture, or several")
    return units


def _sequence(unit: bytes) -> Sequence:
    """What a sequence parameter set says (7.3.2.2)."""
    # A byte 3 behind two zero bytes keeps start codes out of the data, and is no part of it (7.3.1.1).
    bits = Bits(unit[2:].replace(b"\0\0\3", b"\0\0"))
    bits.number(4)
    layers = bits.number(3)
    bits.number(1 + 96)
    present = [(bits.flag(), bits.flag()) for _ in range(layers)]
    bits.number(2 * (8 - layers) if layers else 0)
    for profile, level in present:
        bits.number(88 * profile + 8 * level)
    number = bits.golomb()
    chroma = bits.golomb()
    if number > _NUMBER_MAX or chroma > _CHROMA_MAX or (chroma == _CHROMA_MAX and bits.flag()):
        raise ValueError("a sequence that no decoder knows")
    coded_width, coded_height = width, height = bits.golomb(), bits.golomb()
    if bits.flag():  # the conformance window, in units of chroma samples
        left, right, top, bottom = (bits.golomb() for _ in range(4))
        width -= (left + right) * (2 if chroma in {1, 2} else 1)
        height -= (top + bottom) * (2 if chroma == 1 else 1)
    look = (bits.golomb(), bits.golomb(), chroma)
    order_bits = bits.golomb() + 4
    for _ in range(layers + 1 if bits.flag() else 1):
        [bits.golomb() for _ in range(3)]
    block = 1 << bits.golomb() + 3
    if order_bits > _ORDER_BITS_MAX or coded_width % block or coded_height % block:
        raise ValueError("a sequence of parts of blocks")
    return Sequence(number, width, height, look)
