"""Checks by headers alone whether a decoder can assemble the picture of a HEIF or AVIF file from its items.

Pure. The primary item is one coded image or a grid of such images, its tiles; any of them may have an alpha channel,
which is another item. Everything that makes libheif or libavif reject a picture when it decodes it, or show an area
without pixels, is refused here if headers tell it. Pixels are not read.
"""

import struct

import msgspec

from . import av1, hevc
from .boxes import ENTRIES_MAX, Box, Items
from .coded import Coded, Unreadable
from .formats import CUT_OFF

# At most this many parameter sets of all boxes are read, which cost more than units; phones write three in one box.
SETS_MAX = 2048
# A tile costs a node some 50 us. Phones' tiles have 512 pixels a side: a picture of 200 megapixels has 763.
TILES_MAX = 1024
_CONFIGS = {b"hvc1": b"hvcC", b"hev1": b"hvcC", b"av01": b"av1C"}
_ALPHA = (  # kinds of auxiliary images that are an alpha channel
    b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha",
    b"urn:mpeg:hevc:2015:auxid:1",
    b"urn:mpeg:avc:2015:auxid:1",
)
_TILE_MIN = 64  # pixels of a side (MIAF, 7.3.11.4.2), which libavif demands
NCLX_BYTES = 11  # type, primaries, transfer characteristics, matrix, range
# Matrices (H.273, table 4) that libavif does not convert, and those that it converts in full range only: YCgCo.
_NO_MATRICES = {3, 10, 11, 13, 14, 17}
_MATRIX_END = 18
_FULL_MATRICES = {8, 16}
_YCGCO_RE, _YCGCO_RE_BITS = 16, 10
_IDENTITY = 0
TURNS = frozenset({b"irot", b"imir", b"clap"})
_NCLX = struct.Struct(">4xHHHB")
_ISPE = struct.Struct(">4xII")
CLAP = struct.Struct(">iiiiiiii")


class Refused(Exception):
    """No phone can have written this file, or it was cut off; the text says why."""


class Grid(msgspec.Struct, frozen=True):
    """A picture of tiles, row by row; sizes are in pixels.

    `turns`: the names and contents of its transformations in order.
    """

    columns: int
    rows: int
    width: int
    height: int
    tile_width: int
    tile_height: int
    tiles: tuple[int, ...]
    turns: tuple[tuple[bytes, bytes], ...] = ()


class Layout(msgspec.Struct, frozen=True):
    """How a picture is made.

    `coding`: the type of the coded images. `first`: the first of them. `coded`: the pixels that are decoded, across and
    down, which may be more than are shown. `head`: what the headers of the first image say.
    """

    coding: bytes
    first: int = 0
    coded: tuple[int, int] = (0, 0)
    grid: Grid | None = None
    head: Coded | None = None


def content(data: memoryview, found: Items, item: int) -> memoryview:
    """The bytes of an item; Refused."""
    parts = []
    for one in found.extents.get(item, ()):
        source = (data, found.idat)[one.method] if one.method < 2 else data[:0]
        if one.end > len(source):
            raise Refused(CUT_OFF)
        parts.append(source[one.start : one.end])
    return parts[0] if len(parts) == 1 else memoryview(b"".join(parts))


def layout(data: memoryview, found: Items) -> Layout:
    """How the primary item is made; Refused, ValueError. A coding that is not known here is the caller's to refuse."""
    return _Reading(data, found).layout()


def nclx(properties: list[Box]) -> tuple[int, int, int, bool] | None:
    """Primaries, transfer characteristics, matrix, and whether the range is full, of the first `nclx` colour box."""
    for box in properties:
        if box.name == b"colr" and bytes(box.body[:4]) == b"nclx" and len(box.body) >= NCLX_BYTES:
            one, two, three, full = _NCLX.unpack_from(box.body)
            return one, two, three, full > 127
    return None


class _Reading:
    """The items of one file."""

    def __init__(self, data: memoryview, found: Items) -> None:
        self._data = data
        self._found = found
        self._units = self._sets = 0
        self._configs: dict[int, hevc.Config] = {}  # by the identity of the box, which the tiles of a grid share
        self._inputs: dict[int, list[int]] = {}
        self._alphas: dict[int, list[int]] = {}
        for kind, source, target in found.references:
            if kind == b"dimg":
                self._inputs.setdefault(source, []).append(target)
            elif kind == b"auxl" and self._is_alpha(source):
                self._alphas.setdefault(target, []).append(source)

    def layout(self) -> Layout:
        """The primary item, with its alpha channel and those of its tiles; Refused."""
        primary = self._found.primary
        picture = self._picture(primary)
        if picture.head is None:
            return picture
        size = self._size(primary)
        if picture.coding == b"av01":
            _check_colours(nclx(self._properties(primary)), picture.head)
        self._check_crop(primary, size)
        self._check_alpha(primary, size, picture)
        if picture.grid is not None:
            if len({tile in self._alphas for tile in picture.grid.tiles}) > 1:
                raise Refused("has a grid of tiles that differ")
            for tile in picture.grid.tiles:
                self._check_alpha(tile, (picture.grid.tile_width, picture.grid.tile_height), picture)
        return picture

    def _picture(self, item: int) -> Layout:
        """An image or a grid of images; no more than its coding if that is unknown."""
        coding = self._found.types.get(item, b"")
        grid = None
        tiles: tuple[int, ...] = (item,)
        if coding == b"grid":
            tiles = tuple(self._inputs.get(item, ()))
            coding = self._found.types.get(tiles[0], b"") if tiles else b""
        if coding not in _CONFIGS:
            return Layout(coding)
        if len(tiles) > TILES_MAX:
            raise Refused(f"has a grid of more than {TILES_MAX:,} tiles")
        heads = [self._image(tile, coding) for tile in tiles]
        first = heads[0]
        if self._found.types[item] == b"grid":
            if any(self._is_turned(tile) for tile in tiles):
                raise Refused("turns a tile of a grid")
            if any((one.width, one.height, one.look) != (first.width, first.height, first.look) for one in heads):
                raise Refused("has a grid of tiles that differ")
            grid = self._grid(item, tiles, first)
            if coding == b"av01":
                _check_miaf(grid, first)
            return Layout(coding, tiles[0], (grid.columns * first.width, grid.rows * first.height), grid, first)
        return Layout(coding, item, (first.width, first.height), None, first)

    def _grid(self, item: int, tiles: tuple[int, ...], tile: Coded) -> Grid:
        """The grid of an item (23008-12, 6.6.2.3)."""
        spec = bytes(content(self._data, self._found, item))
        side = 4 if len(spec) > 1 and spec[1] & 1 else 2
        if len(spec) < 4 + 2 * side or spec[0]:
            raise Refused("has a grid that cannot be read")
        rows, columns = spec[2] + 1, spec[3] + 1
        width, height = int.from_bytes(spec[4 : 4 + side], "big"), int.from_bytes(spec[4 + side : 4 + 2 * side], "big")
        if (width, height) != self._size(item) or not width or not height:
            raise Refused("has a grid of another size than it says")
        if len(tiles) != rows * columns or tile.width * columns < width or tile.height * rows < height:
            raise Refused("has a grid that its tiles do not fill")
        turns = tuple((box.name, bytes(box.body)) for box in self._properties(item) if box.name in TURNS)
        return Grid(columns, rows, width, height, tile.width, tile.height, tiles, turns)

    def _image(self, item: int, coding: bytes) -> Coded:
        """The headers of a coded image; Refused."""
        if self._found.types.get(item) != coding:
            raise Refused("has a grid with a tile of another kind")
        configs = [box for box in self._properties(item) if box.name == _CONFIGS[coding]]
        if len(configs) != 1:
            raise Refused("has an image without a decoder configuration, or with two")
        data = content(self._data, self._found, item)
        if not data:
            raise Refused("has an image without data")
        try:
            found = av1.picture(configs[0].body, data) if coding == b"av01" else self._hevc(configs[0], data)
        except Unreadable:
            raise Refused("has an image whose coded data is damaged") from None
        # Over all images of the file: many tiles must not multiply the limit of one.
        self._units += found.units
        if self._units > ENTRIES_MAX:
            raise ValueError("too many units")
        width, height = self._size(item)
        # A file whose boxes and coded data name two sizes is refused: limits on pixels would not hold for it.
        if (width, height) != (found.width, found.height):
            raise Refused(f"has an image of {width}x{height} pixels that is coded as {found.width}x{found.height}")
        return found

    def _hevc(self, config: Box, data: memoryview) -> Coded:
        known = self._configs.get(id(config))
        if known is None:
            known = self._configs[id(config)] = hevc.config(config.body)
            self._sets += known.sets
            if self._sets > SETS_MAX:
                raise ValueError("too many parameter sets")
        return hevc.picture(known, data)

    def _size(self, item: int) -> tuple[int, int]:
        sizes = [box.body for box in self._properties(item) if box.name == b"ispe"]
        if len(sizes) != 1 or len(sizes[0]) < _ISPE.size:
            raise Refused("has an image without a size, or with two")
        width, height = _ISPE.unpack_from(sizes[0])
        return width, height

    def _check_alpha(self, item: int, size: tuple[int, int], picture: Layout) -> None:
        """Refused if an image has an alpha channel that cannot be decoded. libheif scales one, libavif does not."""
        alphas = self._alphas.get(item, ())
        for alpha in alphas:
            found = self._picture(alpha)
            if found.coding != picture.coding or found.head is None or picture.head is None:
                raise Refused("has an alpha channel of another kind")
            if len(alphas) > 1 or alpha in self._alphas:
                raise Refused("has several alpha channels")
            same = self._size(alpha) == size and found.head.look[:1] == picture.head.look[:1]
            if picture.coding == b"av01" and not same:
                raise Refused("has an alpha channel of another size or depth")

    def _check_crop(self, item: int, size: tuple[int, int]) -> None:
        """Refused if the clean aperture is outside of the picture (14496-12, 12.1.4)."""
        for box in self._properties(item):
            if box.name == b"irot" and box.body[:1] and box.body[0] & 1:
                size = size[::-1]
            if box.name == b"clap":
                width, one, height, two, *rest = CLAP.unpack_from(box.body)
                across, down = ((width, one, *rest[:2]), (height, two, *rest[2:]))
                if not (_overlaps(size[0], *across) and _overlaps(size[1], *down)):
                    raise Refused("shows nothing of its picture")

    def _is_alpha(self, item: int) -> bool:
        """Whether an item is an alpha channel by its `auxC` box."""
        kinds = (bytes(box.body[4:80]) for box in self._properties(item) if box.name == b"auxC")
        return any(kind.partition(b"\0")[0] in _ALPHA for kind in kinds)

    def _is_turned(self, item: int) -> bool:
        return any(box.name in TURNS for box in self._properties(item))

    def _properties(self, item: int) -> list[Box]:
        return self._found.properties.get(item, [])


def _overlaps(side: int, crop: int, crop_unit: int, off: int, off_unit: int) -> bool:
    """Whether a side of the clean aperture shows a pixel; all but `side` are fractions of pixels."""
    if not crop_unit or not off_unit or crop <= 0:
        return False
    middle = (side - 1) / 2 + off / off_unit
    half = (crop / crop_unit - 1) / 2
    return middle - half <= side - 1 and middle + half >= 0


def _check_miaf(grid: Grid, tile: Coded) -> None:
    """Refused for tiles that libavif does not put together (23000-22, 7.3.11.4.2)."""
    for size, count, part, halved in (
        (grid.width, grid.columns, grid.tile_width, tile.halved[0]),
        (grid.height, grid.rows, grid.tile_height, tile.halved[1]),
    ):
        if part < _TILE_MIN or part * (count - 1) >= size or (halved and (part % 2 or size % 2)):
            raise Refused("has a grid that its tiles do not fit")


def _check_colours(box: tuple[int, int, int, bool] | None, tile: Coded) -> None:
    """Refused for a matrix that libavif cannot convert to RGB (`avifGetYUVColorSpaceInfo`)."""
    matrix, full = box[2:] if box else (tile.code_points[2], tile.full_range)
    if (
        matrix in _NO_MATRICES
        or matrix >= _MATRIX_END
        or (matrix in _FULL_MATRICES and not full)
        or (matrix == _YCGCO_RE and tile.look[0] != _YCGCO_RE_BITS)
        or (matrix == _IDENTITY and any(tile.halved))
    ):
        raise Refused(f"has a colour matrix that cannot be converted ({matrix})")
