"""The parameter sets of HEVC (ITU-T H.265, 7.3.2.2 and 7.3.2.3): sizes, and whether a decoder takes them.

Pure. libde265 drops a set with a number out of its range, and then has no picture. Numbers are checked in the order of
the syntax, up to scaling lists and sets of reference pictures, which a photo does not need.
"""

import msgspec

from .coded import Bits

_LAYERS_MAX = 7
_SEQUENCES, _PICTURES = 16, 64  # numbers of sets
_CHROMA_444 = 3
_DEPTH_MAX = 8  # bits beyond 8
_ORDER_BITS_MAX = 12  # beyond 4
_HELD_PICTURES_MAX = 16
_BLOCK_BITS_MAX = 6
_TRANSFORM_BITS_MAX = 5
_REFERENCES_MAX = 15
_QP_MAX = 25
_TILE_COLUMNS_MAX, _TILE_ROWS_MAX = 20, 22
_MERGE_MAX = 4
_FILTER_MAX = 6


class Sequence(msgspec.Struct, frozen=True):
    """A sequence parameter set.

    `look`: the bits of luma and chroma beyond 8, and the chroma format; `hvcC` says the same. `block_bits`: the binary
    logarithm of the smallest coding block and of how often it fits into the largest. `blocks`: the largest ones across
    and down. `scales`: whether it has scaling lists.
    """

    number: int
    width: int
    height: int
    look: tuple[int, int, int]
    block_bits: tuple[int, int]
    blocks: tuple[int, int]
    scales: bool


def sequence(unit: bytes) -> Sequence:
    """Read a set; ValueError."""
    bits = Bits(_payload(unit))
    bits.number(4)
    layers = bits.number(3)
    bits.number(1 + 96)
    present = [(bits.flag(), bits.flag()) for _ in range(layers)]
    bits.number(2 * (8 - layers) if layers else 0)
    for profile, level in present:
        bits.number(88 * profile + 8 * level)
    number, chroma = _at_most(bits, _SEQUENCES - 1), _at_most(bits, _CHROMA_444)
    _check(layers < _LAYERS_MAX and not (chroma == _CHROMA_444 and bits.flag()))
    width, height = size = bits.golomb(), bits.golomb()
    if bits.flag():  # the conformance window, in units of chroma samples
        left, right, top, bottom = (bits.golomb() for _ in range(4))
        width -= (left + right) * (2 if chroma in {1, 2} else 1)
        height -= (top + bottom) * (2 if chroma == 1 else 1)
    look = (_at_most(bits, _DEPTH_MAX), _at_most(bits, _DEPTH_MAX), chroma)
    _at_most(bits, _ORDER_BITS_MAX)
    for _ in range(layers + 1 if bits.flag() else 1):
        held = _at_most(bits, _HELD_PICTURES_MAX - 1) + 1
        _at_most(bits, held)
        bits.golomb()
    block = _at_most(bits, 3) + 3
    more = _at_most(bits, _BLOCK_BITS_MAX - block)
    _check(not any(side % (1 << block) for side in size))
    scales = _transforms(bits, block + more)
    blocks = (-(-size[0] // (1 << block + more)), -(-size[1] // (1 << block + more)))
    return Sequence(number, width, height, look, (block, more), blocks, scales)


def _transforms(bits: Bits, largest: int) -> bool:
    """The sizes of transforms, given the binary logarithm of the largest block; whether there are scaling lists."""
    smallest = _at_most(bits, 3) + 2
    _at_most(bits, _TRANSFORM_BITS_MAX - smallest)
    _check(smallest <= largest)
    _at_most(bits, largest - smallest)
    _at_most(bits, largest - smallest)
    return bits.flag()


def picture(unit: bytes, sequences: dict[int, Sequence]) -> int:
    """The number of a picture parameter set that a decoder takes, given the sequence ones; ValueError, KeyError."""
    bits = Bits(_payload(unit))
    number = _at_most(bits, _PICTURES - 1)
    known = sequences[bits.golomb()]
    bits.number(7)
    _at_most(bits, _REFERENCES_MAX)
    _at_most(bits, _REFERENCES_MAX)
    _check(-26 - 6 * known.look[0] <= _signed(bits) <= _QP_MAX)
    bits.number(2)
    if bits.flag():
        _at_most(bits, known.block_bits[1])
    _signed(bits)
    _signed(bits)
    bits.number(4)
    tiles = bits.flag()
    bits.flag()
    if tiles:
        columns = _at_most(bits, min(_TILE_COLUMNS_MAX, known.blocks[0]) - 1)
        rows = _at_most(bits, min(_TILE_ROWS_MAX, known.blocks[1]) - 1)
        if not bits.flag():
            _check(sum(bits.golomb() + 1 for _ in range(columns)) < known.blocks[0])
            _check(sum(bits.golomb() + 1 for _ in range(rows)) < known.blocks[1])
        bits.flag()
    bits.flag()
    if bits.flag():  # deblocking
        bits.flag()
        if not bits.flag():
            _check(abs(_signed(bits)) <= _FILTER_MAX)
            _check(abs(_signed(bits)) <= _FILTER_MAX)
    if bits.flag():  # scaling lists
        _check(known.scales)
        return number
    bits.flag()
    _at_most(bits, min(_MERGE_MAX, sum(known.block_bits) - 2))
    bits.flag()
    _check(not (bits.flag() and bits.number(8) & 0x7F))  # extensions but the range extension
    return number


def _payload(unit: bytes) -> bytes:
    """The content of a unit: a byte 3 behind two zero bytes keeps start codes out, and is no part of it (7.3.1.1)."""
    return unit[2:].replace(b"\0\0\3", b"\0\0")


def _at_most(bits: Bits, most: int) -> int:
    """The next number; ValueError if it is larger."""
    value = bits.golomb()
    _check(value <= most)
    return value


def _signed(bits: Bits) -> int:
    """The next signed number (9.2.2)."""
    code = bits.golomb()
    return (code + 1) // 2 if code % 2 else -(code // 2)


def _check(fits: object) -> None:
    if not fits:
        raise ValueError("a parameter set that no decoder takes")
