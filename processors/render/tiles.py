"""Finds tiles of a HEIC that could not be decoded.

libheif leaves the area of such a tile as it is, all zeros, which is dark green, and Pillow's plugin cannot ask it to be
strict (`heif_decoding_options.strict_decoding`) nor read its warnings. So a tile of one colour is decoded once more on
its own, because then libheif reports the error. Such tiles are rare: photos have noise.
"""

import io
from collections.abc import Iterator

from PIL import Image

from storage.photo import boxes
from storage.photo.grids import CLAP, Grid
from storage.photo.judge import PHOTO_ERRORS

_Area = tuple[int, int, int, int]  # left, top, right, bottom
_QUARTERS = 4
_HIDDEN = 1  # flag of an item that is not shown by itself
_ROUNDING = 2  # pixels by which a clean aperture may be rounded


def has_broken_tile(data: memoryview, grid: Grid, image: Image.Image) -> bool:
    """Whether a tile of the grid, which was decoded as `image`, cannot be decoded."""
    for tile, (left, top, right, bottom) in zip(grid.tiles, _areas(grid), strict=True):
        area = (max(left, 0), max(top, 0), min(right, image.width), min(bottom, image.height))
        if area[0] < area[2] and area[1] < area[3] and _is_plain(image, area) and not _decodes(data, tile):
            return True
    return False


def _areas(grid: Grid) -> Iterator[_Area]:
    """Where each tile is in the picture after its transformations; an empty area if it is not in it."""
    for number in range(len(grid.tiles)):
        row, column = divmod(number, grid.columns)
        left, top = column * grid.tile_width, row * grid.tile_height
        right, bottom = min(left + grid.tile_width, grid.width), min(top + grid.tile_height, grid.height)
        area, size = (left, top, right, bottom), (grid.width, grid.height)
        for name, body in grid.turns:
            area, size = _turned(area, size, name, body)
        yield area


def _turned(area: _Area, size: tuple[int, int], name: bytes, body: bytes) -> tuple[_Area, tuple[int, int]]:
    """An area of a picture, and the size of the picture, after one transformation (23008-12, 6.5.8 to 6.5.12)."""
    left, top, right, bottom = area
    width, height = size
    if name == b"irot":
        for _ in range(body[0] % _QUARTERS):  # anticlockwise
            left, top, right, bottom = top, width - right, bottom, width - left
            width, height = height, width
    elif name == b"imir" and body[0] & 1:
        left, right = width - right, width - left
    elif name == b"imir":
        top, bottom = height - bottom, height - top
    else:
        cut_width, one, cut_height, two, across, three, down, four = CLAP.unpack_from(body)
        start, width = _cropped(width, cut_width / one, across / three)
        left, right = left - start + _ROUNDING, right - start - _ROUNDING
        start, height = _cropped(height, cut_height / two, down / four)
        top, bottom = top - start + _ROUNDING, bottom - start - _ROUNDING
    return (left, top, right, bottom), (width, height)


def _cropped(side: int, length: float, off: float) -> tuple[int, int]:
    """The start and the length of a side after it was cropped around its middle, `off` pixels farther."""
    start = off + (side - length) / 2
    first = max(round(start), 0)
    return first, min(round(start + length), side) - first


def _is_plain(image: Image.Image, area: _Area) -> bool:
    """Whether an area has one colour."""
    left, top, right, bottom = area
    corners = {image.getpixel((x, y)) for x in (left, right - 1) for y in (top, bottom - 1)}
    if len(corners) > 1:
        return False
    extrema = image.crop(area).convert("RGB").getextrema()
    return all(isinstance(band, tuple) and band[0] == band[1] for band in extrema)


def _decodes(data: memoryview, tile: int) -> bool:
    """Whether a tile can be decoded on its own."""
    try:
        with Image.open(io.BytesIO(_alone(data, tile)), formats=["HEIF"]) as image:
            image.load()
    except PHOTO_ERRORS:
        return False
    return True


def _alone(data: memoryview, tile: int) -> bytes:
    """The file with the tile as the primary item, which is shown."""
    changed = bytearray(data)
    meta = next(box for box in boxes.boxes(data) if box.name == b"meta")
    start = meta.end - len(meta.body) + 4
    for box in boxes.boxes(meta.body[4:]):
        at = start + box.end - len(box.body)
        if box.name == b"pitm":
            size = 4 if box.body[0] else 2
            changed[at + 4 : at + 4 + size] = tile.to_bytes(size, "big")
        elif box.name == b"iinf":
            first = at + (8 if box.body[0] else 6)
            for entry in boxes.entries(box.body):
                if boxes.item_of(entry.body)[0] == tile:
                    changed[first + entry.end - len(entry.body) + 3] &= ~_HIDDEN & 255
    return bytes(changed)
