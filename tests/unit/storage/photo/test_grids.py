"""Whether a picture can be made of its items, and how much is decoded for it. Decoders check it in tests/contract."""

import struct
import time

import pytest
from PIL import Image

from bench.contests.boxes import box
from storage.photo.formats import Limits
from storage.photo.grids import SETS_MAX, TILES_MAX, Refused
from storage.photo.heif import Malformed, read
from storage.photo.judge import Refused as NotAccepted
from storage.photo.judge import judged
from tests.unit.storage.photo import heifs

GOOD = dict(heifs.good())
BAD = {name: (photo, reason) for name, photo, reason in heifs.bad()}


@pytest.mark.parametrize("name", GOOD)
def test_what_decoders_take_is_taken(name: str) -> None:
    """Images, grids, alpha channels, colours."""
    assert read(memoryview(GOOD[name])).coding in {b"hvc1", b"av01"}


@pytest.mark.parametrize("name", [name for name in BAD if "grid of a grid" not in name])
def test_what_decoders_reject_is_refused(name: str) -> None:
    """By its headers."""
    photo, reason = BAD[name]
    with pytest.raises(Refused) as refused:
        read(memoryview(photo))
    assert reason in str(refused.value)


@pytest.mark.parametrize("kind", heifs.CODINGS)
def test_a_file_that_lies_about_its_size_does_not_get_past_the_limits(kind: str) -> None:
    """A picture of 160 x 128 that says 80 x 64, alone, as a tile, and as an alpha channel."""
    lying = heifs.image(kind, heifs.SIZE, says=heifs.TILE)
    tiles = [lying] * 4
    alpha = heifs.image(kind, heifs.SIZE, heifs.ALPHA, says=heifs.TILE)
    for photo in (
        heifs.file(kind, {1: lying}),
        heifs.file(kind, heifs.grid(kind, tiles=tiles), heifs.FOUR),
        heifs.file(kind, {1: heifs.image(kind), 2: alpha}, [("auxl", 2, (1,))]),
    ):
        with pytest.raises(NotAccepted, match="an image of 80x64 pixels that is coded as 160x128"):
            judged(memoryview(photo), Limits(pixels_max=80 * 64))


@pytest.mark.parametrize("kind", heifs.CODINGS)
def test_limits_are_on_what_is_decoded_not_on_what_is_shown(kind: str) -> None:
    """From both sides: a crop to 64 x 64 pixels, and tiles that reach beyond a grid."""
    clap = box(b"clap", b"\0\0\0\x40\0\0\0\1" * 2 + b"\0\0\0\0\0\0\0\1" * 2)
    cropped = heifs.file(kind, {1: heifs.image(kind, heifs.SIZE, clap)})
    larger = heifs.file(kind, heifs.grid(kind, size=(96, 80)), heifs.FOUR)
    for photo in (cropped, larger):
        assert judged(memoryview(photo), Limits(pixels_max=160 * 128))
        with pytest.raises(NotAccepted, match="160x128 pixels"):
            judged(memoryview(photo), Limits(pixels_max=160 * 128 - 1))


def test_tiles_share_depth_and_chroma() -> None:
    """No decoder puts 4:2:0 beside 4:4:4."""
    for kind in heifs.CODINGS:
        options = {"HEIF": {"chroma": 444}, "AVIF": {"subsampling": "4:4:4"}}[kind]
        tiles = [heifs.image(kind)] * 3 + [heifs.image(kind, **options)]
        with pytest.raises(Refused, match="tiles that differ"):
            read(memoryview(heifs.file(kind, heifs.grid(kind, tiles=tiles), heifs.FOUR)))


def test_an_alpha_channel_has_none() -> None:
    """Nor has an image two of them."""
    whole, alpha = heifs.image("HEIF", heifs.SIZE), heifs.image("HEIF", heifs.SIZE, heifs.ALPHA)
    other = heifs.image("HEIF", heifs.SIZE, heifs.ALPHA, colour="red")
    for links in ([("auxl", 2, (1,)), ("auxl", 3, (1,))], [("auxl", 2, (1,)), ("auxl", 3, (2,))]):
        with pytest.raises(Refused, match="several alpha channels"):
            read(memoryview(heifs.file("HEIF", {1: whole, 2: alpha, 3: other}, links)))


def test_parameter_sets_are_read_so_far_and_no_further() -> None:
    """Of a box, and of all boxes: a file of 16 MB may have a million, each of which costs more than it has bytes."""
    tile = heifs.image("HEIF")
    config, size = tile.properties
    at = config.rindex(b"\x44\1") - 2
    assert config[at - 2 : at] == b"\0\1"

    def photo(sets: int, boxes: int) -> bytes:
        tiles = []
        for number in range(boxes):
            more = config[8:at] + config[at:] * sets
            more = more[: at - 10] + struct.pack(">H", sets) + more[at - 8 :]
            tiles.append(heifs.Item(tile.kind, tile.data, (box(b"hvcC", more[:1] + bytes((number,)) + more[2:]), size)))
        columns = 1 if boxes == 1 else 11
        whole = (80 * columns, 64 * (boxes // columns))
        grid = heifs.Item(b"grid", heifs.spec(columns, boxes // columns, whole), (heifs.ispe(*whole),))
        numbers = range(2, 2 + boxes)
        return heifs.file("HEIF", {1: grid, **dict(zip(numbers, tiles, strict=True))}, [("dimg", 1, numbers)])

    assert read(memoryview(photo(94, 1))).coding == b"hvc1"
    with pytest.raises(Refused, match="is damaged"):
        read(memoryview(photo(95, 1)))
    assert read(memoryview(photo(SETS_MAX // 22 - 2, 22))).coding == b"hvc1"
    with pytest.raises(Malformed):
        read(memoryview(photo(SETS_MAX // 22, 22)))


def of_tiles(columns: int, rows: int) -> memoryview:
    """A HEIC that is a grid of one tile of 64 x 64 pixels, again and again."""
    config, data = heifs.coded_image("HEIF", Image.new("RGB", (64, 64)))
    tile = heifs.Item(b"hvc1", data, (config, heifs.ispe(64, 64)))
    size = (64 * columns, 64 * rows)
    numbers = range(2, 2 + columns * rows)
    items = {
        1: heifs.Item(b"grid", heifs.spec(columns, rows, size), (heifs.ispe(*size),)),
        **dict.fromkeys(numbers, tile),
    }
    return memoryview(heifs.file("HEIF", items, [("dimg", 1, numbers)]))


def test_tiles_are_read_so_far_and_no_further() -> None:
    """From both sides: each tile costs a node time."""
    assert TILES_MAX == 32 * 32
    assert read(of_tiles(32, 32)).coding == b"hvc1"
    with pytest.raises(Refused, match="more than 1,024 tiles"):
        read(of_tiles(41, 25))


def test_judging_a_grid_is_linear_in_its_tiles() -> None:
    """Ten times the tiles cost about ten times as much, not a hundred times."""

    def cost(columns: int, rows: int) -> float:
        photo = of_tiles(columns, rows)
        read(photo)
        began = time.process_time()
        for _ in range(5):
            read(photo)
        return time.process_time() - began

    assert cost(30, 30) < 30 * cost(10, 9)
