"""The headers of a picture in HEVC (ITU-T H.265; ISO/IEC 14496-15, 8.3): its size, and whether its units are whole.

Pure. A decoder gets the parameter sets of the `hvcC` box and then the units of the item, each behind its length. It
gives no picture, or a blank one, if a unit is cut off or names parameter sets that are not there. Slices are not read.
"""

from collections.abc import Iterator
from functools import lru_cache

import msgspec

from .coded import UNITS_MAX, Bits, Coded, Unreadable
from .parameter_sets import Sequence, sequence
from .parameter_sets import picture as picture_set

_SPS, _PPS = 33, 34
# The parameter sets that are remembered, and the bytes of each at most: 1 MiB in all.
REMEMBERED_MAX = 256
REMEMBERED_BYTES_MAX = 4096
_SLICES = range(32)
_FIRST_OF_A_FILE = range(16, 22)  # pictures that need no other picture: BLA, IDR, CRA
# At most this many sets of a box are read: as many as have a number (16 of videos, 16 of sequences, 64 of pictures).
SETS_MAX = 96
_HEADER_BYTES = 23  # of `hvcC`, up to the lists of parameter sets
_READ_BYTES = 256  # of a parameter set: more than what precedes the numbers that are read here
_LENGTH_BYTES = 4  # of a unit's length; libheif reads no other


class Config(msgspec.Struct, frozen=True):
    """The parameter sets of an `hvcC` box: what they say, the numbers of the picture ones, and how many there are."""

    sequence: Sequence
    pictures: frozenset[int]
    sets: int


def config(box: memoryview) -> Config:
    """The parameter sets of an `hvcC` box; Unreadable."""
    read = _config if len(box) <= REMEMBERED_BYTES_MAX else _config.__wrapped__
    try:
        return read(bytes(box))
    except (ValueError, LookupError) as error:
        raise Unreadable from error


def picture(known: Config, data: memoryview) -> Coded:
    """What the headers of an item say; Unreadable."""
    try:
        units = _units(known, data)
    except (ValueError, LookupError) as error:
        raise Unreadable from error
    return Coded(known.sequence.width, known.sequence.height, units, known.sequence.look)


# Photos of one kind of phone have the same parameter sets; reading them takes 100 us.
@lru_cache(REMEMBERED_MAX)
def _config(box: bytes) -> Config:
    sequences, pictures, sets = dict[int, Sequence](), set[int](), 0
    for unit in _parameter_sets(box):
        sets += 1
        kind = unit[0] >> 1 & 63
        if _is_of_another_layer(unit[0], unit[1]) or not unit[1] & 7:
            continue
        if kind == _SPS:
            found = sequence(unit)
            sequences[found.number] = found
        elif kind == _PPS:
            pictures.add(picture_set(unit, sequences))
    (found,) = sequences.values()
    if found.look != (box[17] & 7, box[18] & 7, box[16] & 3):
        raise ValueError("parameter sets of another format than the file says")
    return Config(found, frozenset(pictures), sets)


def _is_of_another_layer(first: int, second: int) -> bool:
    """Whether a unit with this header (7.3.1.2) belongs to another layer, which is not decoded."""
    return bool(first & 1 or second >> 3)


def _parameter_sets(box: bytes) -> Iterator[bytes]:
    """The start of each; ValueError, LookupError."""
    if box[21] & 3 != _LENGTH_BYTES - 1:
        raise ValueError("another length of lengths")
    at, steps = _HEADER_BYTES, 0
    for _ in range(box[22]):
        count = int.from_bytes(box[at + 1 : at + 3], "big")
        at += 3
        for _ in range(count):
            steps += 1
            end = at + 2 + int.from_bytes(box[at : at + 2], "big")
            if end > len(box) or steps > SETS_MAX:
                raise ValueError("a parameter set is cut off")
            yield box[at + 2 : min(end, at + 2 + _READ_BYTES)]
            at = end


def _units(known: Config, data: memoryview) -> int:
    """The number of units, which are one picture; ValueError, LookupError."""
    at, units, firsts, length = 0, 0, 0, len(data)
    while at < length:
        units += 1
        start = at + _LENGTH_BYTES
        at = start + int.from_bytes(data[at:start], "big")
        if at > length or at - start < 3 or not data[start + 1] & 7 or units > UNITS_MAX:
            raise ValueError("a unit is cut off")
        kind, other = data[start] >> 1 & 63, _is_of_another_layer(data[start], data[start + 1])
        # The first slice of a picture says so in the first bit of its header.
        if kind in _SLICES and not other and data[start + 2] & 0x80:
            firsts += 1
            bits = Bits(bytes(data[start + 2 : start + 8]))
            bits.number(2)
            if kind not in _FIRST_OF_A_FILE or bits.golomb() not in known.pictures:
                raise ValueError("a picture that needs what is not there")
        elif kind == _SPS and sequence(bytes(data[start : min(at, start + _READ_BYTES)])) != known.sequence:
            raise ValueError("parameter sets of several sizes")
    if firsts != 1:
        raise ValueError("no picture, or several")
    return units
