"""What the picture of a HEIF or AVIF file is, and how much work it makes (ISO/IEC 23008-12, 23000-22).

Pure. It finds the coding of the primary item, where the bytes of the picture end, whether the container turns the
picture, its EXIF data and its colour space. Phones append films and notes behind the last box of the picture; a decoder
does not get these. The file was cut off if an item has bytes behind the end of the file.

A decoder decodes an item each time another item refers to it, and applies every transformation that is listed: 10 KB
with 64 rotations take 11 s, one tile of 400 KB in 190 places takes 10 s. Phones write each coded byte once, use each
item once, and turn an item at most once. What an item is coded with is read in `grids.py`.
"""

import struct
from collections.abc import Iterator
from itertools import pairwise

import msgspec

from .boxes import Box, Items, boxes, items, nested
from .formats import CUT_OFF
from .grids import TURNS, Grid, Refused, content, layout, nclx

_DERIVED = {b"iden", b"iovl"}  # an item that is a copy of another item, or an overlay of several
_ORIENTATIONS = {b"irot", b"imir"}
# Boxes without which there is no picture: one that is longer than the file means that the file was cut off.
_NEEDED = {b"ftyp", b"meta", b"mdat", b"moov"}


class Malformed(Exception):
    """The boxes cannot be read."""


class Contents(msgspec.Struct, frozen=True):
    """The picture of a file.

    `coding`: the type of the primary item or of its tiles, such as `hvc1` or `av01`, empty if there is no such item.
    `end`: the length of the file without what was appended. `coded`: the pixels that are decoded, across and down.
    `turned`: the container says how the picture is turned. `exif`: the EXIF data from its TIFF header on.
    `code_points`: colour primaries and transfer characteristics (H.273).
    """

    coding: bytes
    end: int
    coded: tuple[int, int] = (0, 0)
    grid: Grid | None = None
    turned: bool = False
    exif: bytes = b""
    code_points: tuple[int, int] | None = None


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
    inside = list(nested(metas[0].body[4:]))
    by_name = {box.name: box.body for box in inside}
    found = items(by_name)
    end = max((one.end for item in found.extents.values() for one in item if one.method == 0), default=0)
    if end > len(data):
        raise Refused(CUT_OFF)
    end = next((box.end for box in top if box.end >= max(end, metas[0].end)), len(data))
    if len(by_name) != len(inside) or sum(one.end <= end for one in metas) > 1:
        raise Refused("has two boxes of a kind that comes once")
    _refuse_work(found)
    picture = layout(data, found)
    own, first = found.properties.get(found.primary, []), found.properties.get(picture.first, [])
    colours = nclx(own) or nclx(first)
    return Contents(
        picture.coding,
        end,
        picture.coded,
        picture.grid,
        any(box.name in _ORIENTATIONS for box in own),
        _exif(data, found),
        colours[:2] if colours else None,
    )


def _whole_boxes(data: memoryview) -> Iterator[Box]:
    """The boxes of the file up to the first one that is none; Refused when a needed one was cut off."""
    for box in boxes(data):
        if box.end > len(data):
            if box.name in _NEEDED:
                raise Refused(CUT_OFF)
            return
        yield box


def _refuse_work(found: Items) -> None:
    """Refused for a file that makes its decoder do the same work several times."""
    if _DERIVED & set(found.types.values()):
        raise Refused("is derived from other images")
    inputs = [target for kind, _, target in found.references if kind == b"dimg"]
    if len(set(inputs)) != len(inputs):
        raise Refused("uses an image more than once")
    extents = sorted(one for item in found.extents.values() for one in item)
    if any(one.method == other.method and other.start < one.end for one, other in pairwise(extents)):
        raise Refused("stores two images in the same bytes")
    for properties in found.properties.values():
        turns = [box.name for box in properties if box.name in TURNS]
        if len(set(turns)) != len(turns):
            raise Refused("turns an image more than once")


def _exif(data: memoryview, found: Items) -> bytes:
    """The EXIF data that describes the primary item, from its TIFF header on.

    EXIF data of another item, such as a thumbnail, or of none does not count, as in libheif and libavif.
    """
    for kind, source, target in found.references:
        if kind == b"cdsc" and target == found.primary and found.types.get(source) == b"Exif":
            exif = bytes(content(data, found, source))
            return exif[4 + int.from_bytes(exif[:4], "big") :]
    return b""
