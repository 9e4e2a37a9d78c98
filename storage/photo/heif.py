"""The boxes of a HEIF file (ISO/IEC 14496-12, 23008-12) that determine how much work its decoder does.

Pure. libheif decodes an item each time another item refers to it, and applies every transformation that is listed: 10
KB with 64 rotations take 11 s, one tile of 400 KB in 190 places takes 10 s. Phones write each coded byte once, use each
item once, and turn an item at most once. Everything else is left to the decoder.
"""

import struct
from collections.abc import Iterator
from itertools import pairwise

import msgspec

_DERIVED = {b"iden", b"iovl"}  # an item that is a copy of another item, or an overlay of several
_TURNS = (b"irot", b"imir", b"clap")
# At most this many boxes of one level, and entries of a list, are read; libheif itself takes 1,000 items.
STEPS_MAX = 4096


class Malformed(Exception):
    """The boxes cannot be read."""


class _Box(msgspec.Struct, frozen=True):
    name: bytes
    body: memoryview


def fault(data: memoryview) -> str | None:
    """Why no phone can have written this file, None if one may have; Malformed."""
    try:
        return _fault(data)
    except (struct.error, IndexError, ValueError) as error:
        raise Malformed(str(error)) from error


def _fault(data: memoryview) -> str | None:
    metas = [box for box in _boxes(data) if box.name == b"meta"]
    if not metas:
        return None  # the file has nothing to decode
    if len(metas) > 1:
        return "has two boxes of a kind that comes once"
    inside = list(_boxes(metas[0].body[4:]))
    if len({box.name for box in inside}) != len(inside):
        return "has two boxes of a kind that comes once"
    by_name = {box.name: box.body for box in inside}
    if _DERIVED & _types(by_name.get(b"iinf")):
        return "is derived from other images"
    inputs = list(_inputs(by_name.get(b"iref")))
    if len(set(inputs)) != len(inputs):
        return "uses an image more than once"
    if _overlaps(by_name.get(b"iloc")):
        return "uses its bytes more than once"
    if _turned_twice(by_name.get(b"iprp")):
        return "turns an image more than once"
    return None


def _boxes(data: memoryview) -> Iterator[_Box]:
    at = 0
    for _ in range(STEPS_MAX):
        if at + 8 > len(data):
            return
        size, name, header = int.from_bytes(data[at : at + 4], "big"), bytes(data[at + 4 : at + 8]), 8
        if size == 1:
            size, header = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        if size == 0:
            size = len(data) - at
        if size < header:
            return
        yield _Box(name, data[at + header : at + size])
        at += size


class _Reader:
    """Big-endian numbers, one after another; ValueError at the end of the data."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 4
        self.version, self.flags = data[0], int.from_bytes(data[1:4], "big")

    def number(self, size: int) -> int:
        end = self._at + size
        if end > len(self._data):
            raise ValueError("a box is too short")
        value = int.from_bytes(self._data[self._at : end], "big")
        self._at = end
        return value

    def numbers(self, size: int, count: int) -> list[int]:
        return [self.number(size) for _ in range(count)]


def _types(iinf: memoryview | None) -> set[bytes]:
    if iinf is None:
        return set()
    entries = iinf[8 if iinf[0] else 6 :]
    # `infe` has an item id of 16 bits in version 2 and of 32 bits in version 3, then 16 bits of protection, then the
    # type.
    return {bytes(box.body[8:12] if box.body[0] == 2 else box.body[10:14]) for box in _boxes(entries)}


def _inputs(iref: memoryview | None) -> Iterator[int]:
    """The items that derived images consist of, each as often as it is used."""
    if iref is None:
        return
    size = 4 if iref[0] else 2
    for box in _boxes(iref[4:]):
        if box.name == b"dimg":
            count = int.from_bytes(box.body[size : size + 2], "big")
            start = size + 2
            yield from (
                int.from_bytes(box.body[start + n * size : start + (n + 1) * size], "big") for n in range(count)
            )


def _overlaps(iloc: memoryview | None) -> bool:
    """Whether two extents, of the same item or of two items, share a byte."""
    if iloc is None:
        return False
    reader = _Reader(iloc)
    sizes = reader.number(2)
    offset_size, length_size, base_size, index_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15, sizes & 15
    wide = 4 if reader.version == 2 else 2
    extents: list[tuple[int, int, int]] = []
    for _ in range(min(reader.number(wide), STEPS_MAX)):
        reader.number(wide)
        method = reader.number(2) & 15 if reader.version else 0
        reader.number(2)
        base = reader.number(base_size)
        for _ in range(min(reader.number(2), STEPS_MAX)):
            reader.number(index_size if reader.version else 0)
            start = base + reader.number(offset_size)
            extents.append((method, start, start + reader.number(length_size)))
    extents.sort()
    return any(one[0] == other[0] and other[1] < one[2] for one, other in pairwise(extents))


def _turned_twice(iprp: memoryview | None) -> bool:
    if iprp is None:
        return False
    parts = list(_boxes(iprp))
    names = [box.name for part in parts if part.name == b"ipco" for box in _boxes(part.body)]
    seen: set[tuple[int, bytes]] = set()
    for part in parts:
        if part.name != b"ipma":
            continue
        reader = _Reader(part.body)
        for _ in range(min(reader.number(4), STEPS_MAX)):
            item = reader.number(4 if reader.version else 2)
            for number in reader.numbers(2 if reader.flags & 1 else 1, reader.number(1)):
                place = number & (0x7FFF if reader.flags & 1 else 0x7F)
                name = names[place - 1] if 0 < place <= len(names) else b""
                if name in _TURNS and (item, name) in seen:
                    return True
                seen.add((item, name))
    return False
