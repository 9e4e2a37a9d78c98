"""Tiles of a HEIC that cannot be decoded: the photo is rejected, wherever the tile is; a plain tile is no fault."""

import itertools
import struct
import time

import pytest
from PIL import Image

from bench.contests.bombs import made
from bench.contests.boxes import box
from ingest.body.photos import inspect
from processors.render.decoding import Undecodable, decoded
from storage.photo.formats import Limits
from storage.photo.judge import judged
from tests.unit.storage.photo import heifs

ROTATIONS = [box(b"irot", bytes((quarters,))) for quarters in range(4)]
MIRRORS = [b"", box(b"imir", b"\0"), box(b"imir", b"\1")]
CROPS = [b"", box(b"clap", struct.pack(">8i", 110, 1, 90, 1, 5, 1, -7, 1))]
TURNS = [
    tuple(one for one in order if one)
    for turns in itertools.product(ROTATIONS, MIRRORS, CROPS)
    for order in itertools.permutations(turns)
]


def broken() -> heifs.Item:
    """A tile whose units are whole, but whose slice header no decoder takes: a node cannot see it."""
    tile = heifs.image("HEIF")
    return heifs.Item(tile.kind, tile.data[:7] + b"\0" + tile.data[8:], tile.properties)


def photo(position: int | None, *turns: bytes) -> bytes:
    """A grid whose tile at this position is broken."""
    tiles = [heifs.image("HEIF")] * 4
    if position is not None:
        tiles[position] = broken()
    return heifs.file("HEIF", heifs.grid("HEIF", *turns, tiles=tiles), heifs.FOUR)


def test_pillow_shows_a_broken_tile_without_a_word() -> None:
    """The control: libheif leaves its area dark green."""
    with judged(memoryview(photo(3)), Limits()).opened() as image:
        image.load()
    assert image.getpixel((120, 100)) == (0, 136, 0)
    assert image.getpixel((40, 30)) != (0, 136, 0)


@pytest.mark.parametrize("position", range(4))
def test_a_broken_tile_is_found_wherever_it_is(position: int) -> None:
    """After every rotation, mirroring and crop, in any order. The node has accepted it, as damage of pixels."""
    for turns in dict.fromkeys(TURNS):
        data = photo(position, *turns)
        inspect("front", memoryview(data), "0" * 64, Limits())
        with pytest.raises(Undecodable, match="corrupt or incomplete HEIC"):
            decoded(data, 320)
        assert decoded(photo(None, *turns), 320)


def test_the_last_pixels_of_a_cropped_tile_are_looked_at_too() -> None:
    """A tile of which one column is shown."""
    data = heifs.file("HEIF", heifs.grid("HEIF", tiles=[heifs.image("HEIF"), broken()] * 2, size=(81, 128)), heifs.FOUR)
    with pytest.raises(Undecodable, match="corrupt or incomplete HEIC"):
        decoded(data, 320)


@pytest.mark.parametrize("colour", [(0, 136, 0), (0, 135, 0), (0, 0, 0), (255, 255, 255)])
@pytest.mark.parametrize("hidden", [True, False])
def test_plain_tiles_are_no_fault(colour: tuple[int, int, int], *, hidden: bool) -> None:
    """Even in the colour of missing ones: each is decoded on its own, hidden or not."""
    config, data = heifs.coded_image("HEIF", Image.new("RGB", heifs.TILE, colour))
    tile = heifs.Item(b"hvc1", data, (config, heifs.ispe(*heifs.TILE)), hidden)
    image = decoded(heifs.file("HEIF", heifs.grid("HEIF", tiles=[tile] * 4), heifs.FOUR), 320)

    assert image.getextrema() == tuple((value, value) for value in image.getpixel((0, 0)))  # type: ignore[union-attr]


@pytest.mark.parametrize("position", [None, 0, 3])
def test_plain_tiles_that_are_too_large_to_be_decoded_together(position: int | None) -> None:
    """Each of two thousand pixels a side is opened alone."""
    config, data = heifs.coded_image("HEIF", Image.new("RGB", (2048, 2048), (255, 255, 255)))
    properties = (config, heifs.ispe(2048, 2048))
    tiles = [heifs.Item(b"hvc1", data, properties)] * 4
    if position is not None:
        tiles[position] = heifs.Item(b"hvc1", data[:7] + b"\0" + data[8:], properties)
    whole = heifs.file("HEIF", heifs.grid("HEIF", tiles=tiles, size=(4096, 4096)), heifs.FOUR)

    if position is None:
        decoded(whole, 320)
    else:
        with pytest.raises(Undecodable, match="corrupt or incomplete HEIC"):
            decoded(whole, 320)


def test_plain_tiles_do_not_cost_the_square_of_their_number() -> None:
    """Found by `make bench-worst`: 900 plain tiles in 60 KB took 9 s a photo, each by opening the file anew."""
    cost_s = {}
    for columns in (10, 30):
        recipe = {"side": 64, "columns": columns, "content": "noise", "quality": 10, "chroma": 444}
        data = made("heif", {**recipe, "shared": 0, "turns": 1, "copies": 0})
        assert data is not None
        began = time.process_time()
        decoded(data, 320)
        cost_s[columns] = time.process_time() - began

    assert cost_s[30] < 30 * cost_s[10]  # nine times the tiles; one by one it was 64 times
