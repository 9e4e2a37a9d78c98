"""Finds tiles of a HEIC that could not be decoded.

libheif leaves the area of such a tile as it is, all zeros, which is dark green, and Pillow's plugin cannot ask it to be
strict (`heif_decoding_options.strict_decoding`) nor read its warnings. So tiles of one colour are decoded once more on
their own, because then libheif reports the error. Such tiles are rare: photos have noise.
"""

import io
from collections.abc import Iterator, Sequence

from PIL import Image

from storage.photo import boxes
from storage.photo.grids import CLAP, Grid
from storage.photo.judge import PHOTO_ERRORS

_Area = tuple[int, int, int, int]  # left, top, right, bottom
_QUARTERS = 4
_HIDDEN = 1  # flag of an item that is not shown by itself
_PIXELS_AT_ONCE = 8_000_000
_ROUNDING = 2  # pixels by which a clean aperture may be rounded


def has_broken_tile(data: memoryview, grid: Grid, image: Image.Image) -> bool:
    """Whether a tile of the grid, which was decoded as `image`, cannot be decoded."""
    plain: dict[int, None] = {}
    for tile, (left, top, right, bottom) in zip(grid.tiles, _areas(grid), strict=True):
        area = (max(left, 0), max(top, 0), min(right, image.width), min(bottom, image.height))
        if area[0] < area[2] and area[1] < area[3] and _is_plain(image, area):
            plain[tile] = None
    tiles = list(plain)
    # Each opening of the file reads the heads of all its items, so tiles that are opened one by one cost the square of
    # their number (900 of them: 9 s). Decoded ones stay in memory until the file is closed, so not all go together.
    at_once = max(1, _PIXELS_AT_ONCE // (grid.tile_width * grid.tile_height))
    return not all(_decode(data, tiles[at : at + at_once]) for at in range(0, len(tiles), at_once))


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


def _decode(data: memoryview, tiles: Sequence[int]) -> bool:
    """Whether each of these tiles can be decoded on its own."""
    try:
        with Image.open(io.BytesIO(_shown(data, tiles)), formats=["HEIF"]) as image:
            frames = getattr(image, "n_frames", 1)
            for frame in range(frames):
                image.seek(frame)
                image.load()
    except PHOTO_ERRORS:
        return False
    return frames >= len(tiles)


def _shown(data: memoryview, tiles: Sequence[int]) -> bytearray:
    """The file with these tiles as the only items that are shown, the first one as the primary item."""
    changed, shown = bytearray(data), set(tiles)
    meta = next(box for box in boxes.boxes(data) if box.name == b"meta")
    start = meta.end - len(meta.body) + 4
    for box in boxes.boxes(meta.body[4:]):
        at = start + box.end - len(box.body)
        if box.name == b"pitm":
            size = 4 if box.body[0] else 2
            changed[at + 4 : at + 4 + size] = tiles[0].to_bytes(size, "big")
        elif box.name == b"iinf":
            first = at + (8 if box.body[0] else 6)
            for entry in boxes.entries(box.body):
                flags = first + entry.end - len(entry.body) + 3
                changed[flags] |= _HIDDEN
                if boxes.item_of(entry.body)[0] in shown:
                    changed[flags] &= ~_HIDDEN & 255
    return changed
