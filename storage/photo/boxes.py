"""The boxes of a HEIF or AVIF file (ISO/IEC 14496-12, 23008-12): its items, and what the file says about each.

Pure, and the only reader of boxes. It interprets nothing: `heif.py` decides what the items make of a picture.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

import msgspec

_T = TypeVar("_T")

# At most this many boxes of one level, and entries of a list, are read; libheif itself takes 1,000 items.
STEPS_MAX = 4096
# At most this many extents, references, properties, and uses of properties are read. A list of entries without bytes
# would otherwise be as long as it says.
ENTRIES_MAX = 16_384


class Box(msgspec.Struct, frozen=True):
    """A box; `end` is the offset behind it in the data that contains it."""

    name: bytes
    body: memoryview
    end: int


class Extent(msgspec.Struct, frozen=True, order=True):
    """Bytes of an item. `method` 0: offsets in the file, 1: in the `idat` box, 2: in another item."""

    method: int
    start: int
    end: int


class Items(msgspec.Struct, frozen=True):
    """What a `meta` box says: the primary item, and by item its type, its extents and its properties in order.

    `references`: the type, the source and the target of each reference between two items, as often as it is there.
    """

    primary: int
    types: dict[int, bytes]
    extents: dict[int, list[Extent]]
    properties: dict[int, list[Box]]
    references: list[tuple[bytes, int, int]]
    idat: memoryview


def items(by_name: dict[bytes, memoryview]) -> Items:
    """The items of a `meta` box by the boxes in it; ValueError, IndexError."""
    return Items(
        _primary(by_name.get(b"pitm")),
        _types(by_name.get(b"iinf")),
        _extents_by_item(by_name.get(b"iloc")),
        _properties(by_name.get(b"iprp")),
        list(bounded(_references(by_name.get(b"iref")))),
        by_name.get(b"idat", memoryview(b"")),
    )


def boxes(data: memoryview) -> Iterator[Box]:
    """The boxes in the data up to the first one that is none; the last one may end behind the data."""
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
        yield Box(name, data[at + header : at + size], at + size)
        at += size


def nested(data: memoryview) -> Iterator[Box]:
    """The boxes in another one; ValueError if one is longer than that: readers differ in what they make of it."""
    for box in boxes(data):
        if box.end > len(data):
            raise ValueError("a box is longer than the one around it")
        yield box


def bounded(entries: Iterable[_T]) -> Iterator[_T]:
    """The entries; ValueError when there are more than `ENTRIES_MAX`."""
    for count, entry in enumerate(entries):
        if count == ENTRIES_MAX:
            raise ValueError("too many entries")
        yield entry


def entries(iinf: memoryview) -> Iterator[Box]:
    """The `infe` boxes: one for each item, as many as the box says."""
    start = 8 if iinf[0] else 6
    count = int.from_bytes(iinf[4:start], "big")
    return (box for box in islice(nested(iinf[start:]), count) if box.name == b"infe")


def item_of(infe: memoryview) -> tuple[int, bytes]:
    """The number and the type of an item: 16 bits of a number, 32 in version 3, 16 bits of protection, and the type."""
    reader = _Reader(infe)
    number = reader.number(4 if reader.version > 2 else 2)
    reader.number(2)
    return number, reader.number(4).to_bytes(4, "big") if reader.version > 1 else b""


class _Reader:
    """Big-endian numbers of a full box, one after another; ValueError at the end of the data."""

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


def _primary(pitm: memoryview | None) -> int:
    if pitm is None:
        return 0
    reader = _Reader(pitm)
    return reader.number(4 if reader.version else 2)


def _types(iinf: memoryview | None) -> dict[int, bytes]:
    return {} if iinf is None else dict(item_of(box.body) for box in entries(iinf))


def _references(iref: memoryview | None) -> Iterator[tuple[bytes, int, int]]:
    if iref is None:
        return
    size = 4 if iref[0] else 2
    for box in nested(iref[4:]):
        source, count = int.from_bytes(box.body[:size], "big"), int.from_bytes(box.body[size : size + 2], "big")
        for start in range(size + 2, min(size + 2 + count * size, len(box.body)), size):
            yield box.name, source, int.from_bytes(box.body[start : start + size], "big")


def _extents_by_item(iloc: memoryview | None) -> dict[int, list[Extent]]:
    found: dict[int, list[Extent]] = {}
    for item, extent in bounded(_extents(iloc)):
        found.setdefault(item, []).append(extent)
    return found


def _extents(iloc: memoryview | None) -> Iterator[tuple[int, Extent]]:
    if iloc is None:
        return
    reader = _Reader(iloc)
    sizes = reader.number(2)
    offset_size, length_size, base_size, index_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15, sizes & 15
    wide = 4 if reader.version == 2 else 2
    for _ in range(min(reader.number(wide), STEPS_MAX)):
        item = reader.number(wide)
        method = reader.number(2) & 15 if reader.version else 0
        reader.number(2)
        base = reader.number(base_size)
        for _ in range(reader.number(2)):
            reader.number(index_size if reader.version else 0)
            start = base + reader.number(offset_size)
            yield item, Extent(method, start, start + reader.number(length_size))


def _properties(iprp: memoryview | None) -> dict[int, list[Box]]:
    parts = [] if iprp is None else list(nested(iprp))
    every = list(bounded(box for part in parts if part.name == b"ipco" for box in nested(part.body)))
    uses = (use for part in parts if part.name == b"ipma" for use in _uses(part.body))
    found: dict[int, list[Box]] = {}
    for item, position in bounded(uses):
        found.setdefault(item, []).extend(every[position - 1 : position] if position else ())
    return found


def _uses(ipma: memoryview) -> Iterator[tuple[int, int]]:
    """Each item with the number of a property that it has."""
    reader = _Reader(ipma)
    size = 2 if reader.flags & 1 else 1
    for _ in range(reader.number(4)):
        item = reader.number(4 if reader.version else 2)
        for number in reader.numbers(size, reader.number(1)):
            yield item, number & (0x7FFF if size == 2 else 0x7F)
