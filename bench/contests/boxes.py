"""HEIF files assembled from one encoded tile: grids, rotations, chains and overlays that no encoder writes.

ISO/IEC 14496-12 (boxes) and 23008-12 (images). Only what the search for costly files needs; Pillow encodes the tile.
"""

import io
import struct
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from PIL import Image
from pillow_heif import register_heif_opener

register_heif_opener()
BRANDS: Final = b"heic\0\0\0\0mif1heic"


class Item(msgspec.Struct, frozen=True):
    """An item: its type, the 1-based indices of its properties, the extent of its bytes, the items it refers to."""

    kind: bytes
    properties: tuple[int, ...]
    extent: tuple[int, int] = (0, 0)
    inputs: tuple[int, ...] = ()


def box(name: bytes, *parts: bytes) -> bytes:
    """A box that contains these parts."""
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + name + body


def full(name: bytes, version: int, *parts: bytes) -> bytes:
    """A full box with a version and no flags."""
    return box(name, bytes((version, 0, 0, 0)), *parts)


def boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The name, the start of the body and the end of each box between `at` and `end`."""
    while at + 8 <= end:
        size = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], at + 8, at + size
        at += size


def tile(image: Image.Image, quality: int, chroma: int) -> tuple[bytes, bytes]:
    """One encoded image: the box with its decoder configuration, and its bytes."""
    out = io.BytesIO()
    image.save(out, "HEIF", quality=quality, chroma=chroma)
    data = out.getvalue()
    top = {name: (at, end) for name, at, end in boxes(data, 0, len(data))}
    meta = {name: (at, end) for name, at, end in boxes(data, top[b"meta"][0] + 4, top[b"meta"][1])}
    inside = {name: (at, end) for name, at, end in boxes(data, *meta[b"iprp"])}
    found = next(data[at - 8 : end] for name, at, end in boxes(data, *inside[b"ipco"]) if name == b"hvcC")
    return found, data[slice(*top[b"mdat"])]


def file(items: Sequence[Item], properties: Sequence[bytes], data: bytes) -> bytes:
    """The whole file; item ids start at 1, the last item is the primary one. Extents are offsets into `data`."""
    count = struct.pack(">I", len(items))
    numbered = list(enumerate(items, 1))
    infe = b"".join(full(b"infe", 3, struct.pack(">IH", n, 0), one.kind, b"\0") for n, one in numbered)
    dimg = b"".join(
        box(b"dimg", struct.pack(f">IH{len(one.inputs)}I", n, len(one.inputs), *one.inputs))
        for n, one in numbered
        if one.inputs
    )
    ipma = b"".join(struct.pack(">IB", n, len(one.properties)) + bytes(one.properties) for n, one in numbered)

    def meta(start: int) -> bytes:
        places = b"".join(
            struct.pack(">IHHHII", n, 0, 0, 1, start + one.extent[0], one.extent[1]) for n, one in numbered
        )
        return full(
            b"meta",
            0,
            full(b"hdlr", 0, b"\0\0\0\0pict", bytes(13)),
            full(b"pitm", 1, count),
            full(b"iloc", 2, b"\x44\x00", count, places),
            full(b"iinf", 1, count, infe),
            full(b"iref", 1, dimg) if dimg else b"",
            box(b"iprp", box(b"ipco", *properties), full(b"ipma", 1, count, ipma)),
        )

    head = box(b"ftyp", BRANDS)
    # The offsets in `iloc` count from the begin of the file, so the box is made twice: first to know its length, which
    # does not depend on them.
    return head + meta(len(head) + len(meta(0)) + 8) + box(b"mdat", data)


def picture(made: tuple[bytes, bytes], side: int, columns: int, **oddities: int) -> bytes:
    """A square grid of one tile, or the tile alone; oddities: `shared` bytes, `turns`, `copies` in a chain."""
    decoder, data = made
    whole = side * columns
    properties = [decoder, *(full(b"ispe", 0, struct.pack(">II", one, one)) for one in (side, whole))]
    properties.append(box(b"irot", b"\1"))
    turns = (4,) * oddities.get("turns", 0)  # 4 is the index of the rotation in the properties
    if columns == 1:
        items = [Item(b"hvc1", (1, 2, *turns), (0, len(data)))]
    else:
        count, step = columns**2, 0 if oddities.get("shared") else len(data)
        items = [Item(b"hvc1", (1, 2), (step * n, len(data))) for n in range(count)]
        data = data if oddities.get("shared") else data * count
        grid = struct.pack(">BBBBII", 0, 1, columns - 1, columns - 1, whole, whole)
        items.append(Item(b"grid", (3, *turns), (len(data), len(grid)), tuple(range(1, count + 1))))
        data += grid
    for _ in range(oddities.get("copies", 0)):
        items.append(Item(b"iden", (3, *turns), (len(data), 0), (len(items),)))
    return file(items, properties, data)
