"""The boxes of a HEIF or AVIF file (ISO/IEC 14496-12, 23008-12): what its picture is, and how much work it makes.

Pure, and the only reader of boxes of nodes and workers. It finds the coding of the primary item, where the bytes of the
picture end, whether the container turns the picture, its EXIF data and its colour space. Phones append films and notes
behind the last box of the picture; a decoder does not get these. The file was cut off if an item has bytes behind the
end of the file.

A decoder decodes an item each time another item refers to it, and applies every transformation that is listed: 10 KB
with 64 rotations take 11 s, one tile of 400 KB in 190 places takes 10 s. Phones write each coded byte once, use each
item once, and turn an item at most once. Everything else is left to the decoder.
"""

import struct
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import TypeVar

import msgspec

_T = TypeVar("_T")

_DERIVED = {b"iden", b"iovl"}  # an item that is a copy of another item, or an overlay of several
_GRIDS = {b"grid", b"tmap", *_DERIVED}  # items that consist of others
_ORIENTATIONS = {b"irot", b"imir"}
_TURNS = _ORIENTATIONS | {b"clap"}
# Boxes without which there is no picture: one that is longer than the file means that the file was cut off.
_NEEDED = {b"ftyp", b"meta", b"mdat", b"moov"}
# At most this many boxes of one level, and entries of a list, are read; libheif itself takes 1,000 items.
STEPS_MAX = 4096
# At most this many extents, references, properties, and uses of properties are read. A list of entries without bytes
# would otherwise be as long as it says.
ENTRIES_MAX = 16_384
CUT_OFF = "cut off: its end is missing"
_NCLX_BYTES = 11  # type, primaries, transfer characteristics, matrix, range


class Malformed(Exception):
    """The boxes cannot be read."""


class Refused(Exception):
    """No phone can have written this file, or it was cut off; the text says why."""


class Contents(msgspec.Struct, frozen=True):
    """The picture of a file.

    `coding`: the type of the primary item or of its tiles, such as `hvc1` or `av01`, empty if there is no such item.
    `end`: the length of the file without what was appended. `turned`: the container says how the picture is turned.
    `exif`: the EXIF data from its TIFF header on. `code_points`: colour primaries and transfer characteristics (H.273).
    """

    coding: bytes
    end: int
    turned: bool = False
    exif: bytes = b""
    code_points: tuple[int, int] | None = None


class _Box(msgspec.Struct, frozen=True):
    name: bytes
    body: memoryview
    end: int  # offset behind the box


class _Extent(msgspec.Struct, frozen=True, order=True):
    method: int  # 0: an offset in the file, 1: in the `idat` box
    start: int
    end: int


def read(data: memoryview) -> Contents:
    """Read a file's boxes; Refused, Malformed."""
    try:
        return _read(data)
    except (struct.error, IndexError, ValueError) as error:
        raise Malformed(str(error)) from error


def _read(data: memoryview) -> Contents:
    top = list(_whole_boxes(data))
    metas = [box for box in top if box.name == b"meta"]
    if not metas:
        if not any(box.name == b"moov" for box in top):
            raise Refused(CUT_OFF)
        return Contents(b"", len(data))  # a film, of which a decoder shows the first picture
    inside = list(_boxes(metas[0].body[4:]))
    by_name = {box.name: box.body for box in inside}
    places = _places(by_name.get(b"iloc"))
    end = max((one.end for item in places.values() for one in item if one.method == 0), default=0)
    if end > len(data):
        raise Refused(CUT_OFF)
    end = next((box.end for box in top if box.end >= max(end, metas[0].end)), len(data))
    if len(by_name) != len(inside) or sum(one.end <= end for one in metas) > 1:
        raise Refused("has two boxes of a kind that comes once")
    types = _types(by_name.get(b"iinf"))
    references = list(_bounded(_references(by_name.get(b"iref"))))
    _refuse_work(types, references, places, by_name.get(b"iprp"))
    primary = _primary(by_name.get(b"pitm"))
    parts = {source: target for kind, source, target in reversed(references) if kind == b"dimg"}
    first = primary
    for _ in range(4):  # a grid of tiles, at most behind a few derivations
        first = parts.get(first, first) if types.get(first) in _GRIDS else first
    properties = _properties(by_name.get(b"iprp"))
    own, first_own = properties.get(primary, []), properties.get(first, [])
    return Contents(
        types.get(first, b""),
        end,
        any(box.name in _ORIENTATIONS for box in own),
        _exif(data, by_name.get(b"idat"), types, references, places, primary),
        _code_points(own) or _code_points(first_own),
    )


def _whole_boxes(data: memoryview) -> Iterator[_Box]:
    """The boxes of the file up to the first one that is none; Refused when a needed one was cut off."""
    for box in _boxes(data):
        if box.end > len(data):
            if box.name in _NEEDED:
                raise Refused(CUT_OFF)
            return
        yield box


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
        yield _Box(name, data[at + header : at + size], at + size)
        at += size


def _bounded(entries: Iterable[_T]) -> Iterator[_T]:
    """The entries; ValueError when there are more than `ENTRIES_MAX`."""
    for count, entry in enumerate(entries):
        if count == ENTRIES_MAX:
            raise ValueError("too many entries")
        yield entry


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


def _primary(pitm: memoryview | None) -> int:
    if pitm is None:
        return 0
    reader = _Reader(pitm)
    return reader.number(4 if reader.version else 2)


def _types(iinf: memoryview | None) -> dict[int, bytes]:
    """The type of each item."""
    if iinf is None:
        return {}
    found: dict[int, bytes] = {}
    for box in _boxes(iinf[8 if iinf[0] else 6 :]):
        # `infe` has an item id of 16 bits in version 2 and of 32 bits in version 3, then 16 bits of protection.
        reader = _Reader(box.body)
        item = reader.number(4 if reader.version > 2 else 2)
        reader.number(2)
        found[item] = reader.number(4).to_bytes(4, "big")
    return found


def _references(iref: memoryview | None) -> Iterator[tuple[bytes, int, int]]:
    """The type, the source and the target of each reference between two items, as often as it is there."""
    if iref is None:
        return
    size = 4 if iref[0] else 2
    for box in _boxes(iref[4:]):
        source, count = int.from_bytes(box.body[:size], "big"), int.from_bytes(box.body[size : size + 2], "big")
        for start in range(size + 2, min(size + 2 + count * size, len(box.body)), size):
            yield box.name, source, int.from_bytes(box.body[start : start + size], "big")


def _places(iloc: memoryview | None) -> dict[int, list[_Extent]]:
    """The extents of each item."""
    found: dict[int, list[_Extent]] = {}
    for item, extent in _bounded(_extents(iloc)):
        found.setdefault(item, []).append(extent)
    return found


def _extents(iloc: memoryview | None) -> Iterator[tuple[int, _Extent]]:
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
            yield item, _Extent(method, start, start + reader.number(length_size))


def _refuse_work(
    types: dict[int, bytes],
    references: list[tuple[bytes, int, int]],
    places: dict[int, list[_Extent]],
    iprp: memoryview | None,
) -> None:
    """Refused for a file that makes its decoder do the same work several times."""
    if _DERIVED & set(types.values()):
        raise Refused("is derived from other images")
    inputs = [target for kind, _, target in references if kind == b"dimg"]
    if len(set(inputs)) != len(inputs):
        raise Refused("uses an image more than once")
    extents = sorted(one for item in places.values() for one in item)
    if any(one.method == other.method and other.start < one.end for one, other in pairwise(extents)):
        raise Refused("uses its bytes more than once")
    for boxes in _properties(iprp).values():
        turns = [box.name for box in boxes if box.name in _TURNS]
        if len(set(turns)) != len(turns):
            raise Refused("turns an image more than once")


def _properties(iprp: memoryview | None) -> dict[int, list[_Box]]:
    """The properties of each item."""
    parts = [] if iprp is None else list(_boxes(iprp))
    every = list(_bounded(box for part in parts if part.name == b"ipco" for box in _boxes(part.body)))
    uses = (use for part in parts if part.name == b"ipma" for use in _uses(part.body))
    found: dict[int, list[_Box]] = {}
    for item, place in _bounded(uses):
        found.setdefault(item, []).extend(every[place - 1 : place] if place else ())
    return found


def _uses(ipma: memoryview) -> Iterator[tuple[int, int]]:
    """Each item with the number of a property that it has."""
    reader = _Reader(ipma)
    size = 2 if reader.flags & 1 else 1
    for _ in range(reader.number(4)):
        item = reader.number(4 if reader.version else 2)
        for number in reader.numbers(size, reader.number(1)):
            yield item, number & (0x7FFF if size == 2 else 0x7F)


def _code_points(properties: list[_Box]) -> tuple[int, int] | None:
    """Primaries and transfer characteristics of the first `nclx` colour box."""
    for box in properties:
        if box.name == b"colr" and bytes(box.body[:4]) == b"nclx" and len(box.body) >= _NCLX_BYTES:
            return int.from_bytes(box.body[4:6], "big"), int.from_bytes(box.body[6:8], "big")
    return None


def _exif(
    data: memoryview,
    idat: memoryview | None,
    types: dict[int, bytes],
    references: list[tuple[bytes, int, int]],
    places: dict[int, list[_Extent]],
    primary: int,
) -> bytes:
    """The EXIF data that describes the primary item, or all that there is; from its TIFF header on."""
    items = [item for item, kind in types.items() if kind == b"Exif"]
    described = [source for kind, source, target in references if kind == b"cdsc" and target == primary]
    for item in sorted(items, key=lambda one: one not in described):
        sources = {0: data, 1: idat if idat is not None else data[:0]}
        content = b"".join(
            bytes(sources.get(one.method, data[:0])[one.start : one.end]) for one in places.get(item, ())
        )
        return content[4 + int.from_bytes(content[:4], "big") :]
    return b""
