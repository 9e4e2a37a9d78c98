"""HEIF boxes: what encoders write passes, what makes a decoder work twice does not, rubbish is malformed."""

import contextlib
import io
import time

import pytest
from PIL import Image
from pillow_heif import register_heif_opener

from bench.contests import boxes
from storage.photo.boxes import ENTRIES_MAX
from storage.photo.formats import CUT_OFF
from storage.photo.grids import Refused
from storage.photo.heif import Malformed, read
from tests.unit.storage.photo import heifs, odd

TILE = boxes.tile(Image.new("RGB", (64, 64), "teal"), 50, 420)


def made(columns: int = 2, **oddities: int) -> memoryview:
    """A grid by hand."""
    return memoryview(boxes.picture(TILE, 64, columns, **oddities))


def items(*more: boxes.Item, inputs: tuple[int, ...] = (1, 2)) -> memoryview:
    """Two tiles, whatever else, and a grid of these."""
    length, grid = len(TILE[1]), heifs.spec(2, 1, (128, 64))
    two = (boxes.Item(b"hvc1", (1, 2), (0, length)), boxes.Item(b"hvc1", (1, 2), (length, length)))
    whole = boxes.Item(b"grid", (3,), (2 * length, len(grid)), inputs)
    sizes = (heifs.ispe(64, 64), heifs.ispe(128, 64))
    return memoryview(boxes.file([*two, *more, whole], [TILE[0], *sizes], TILE[1] * 2 + grid))


def fault(data: bytes | memoryview) -> str | None:
    """Why the file is refused; None if it is not."""
    try:
        read(memoryview(data))
    except Refused as error:
        return str(error)
    return None


def test_what_encoders_and_phones_write_passes() -> None:
    """One image, a thumbnail beside it, a turned one, a grid of tiles each used once and turned once."""
    register_heif_opener()
    image = Image.effect_noise((320, 240), 50).convert("RGB")
    for options in ({}, {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"}, {"thumbnails": [64]}):
        out = io.BytesIO()
        image.save(out, "HEIF", **options)
        assert fault(memoryview(out.getvalue())) is None
    assert fault(made(turns=1)) is None
    assert fault(items()) is None


def _twice(data: memoryview) -> memoryview:
    """The file with its `meta` box twice, the first without the places of its items."""
    meta = bytes(data).index(b"meta") - 4
    end = meta + int.from_bytes(data[meta : meta + 4], "big")
    return memoryview(bytes(data[:end]) + bytes(data[meta:]))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (made(turns=2), "turns an image more than once"),
        (made(1, turns=60), "turns an image more than once"),
        (made(shared=1), "stores two images in the same bytes"),
        (made(copies=1), "is derived from other images"),
        (items(boxes.Item(b"iovl", (), (0, 0), ())), "is derived from other images"),
        (items(inputs=(1, 2, 1)), "uses an image more than once"),
        (_twice(made()), "has two boxes of a kind that comes once"),
    ],
)
def test_what_makes_a_decoder_work_twice_does_not(data: memoryview, reason: str) -> None:
    """Turns, copies, overlays, an image or its bytes used again."""
    assert fault(data) == reason


@pytest.mark.parametrize("name", [b"iloc", b"ipma", b"iref", b"iinf"])
def test_boxes_that_end_early_are_malformed_or_harmless(name: bytes) -> None:
    """Nothing but Malformed is raised, wherever a box is cut."""
    data = bytes(made())
    at = data.index(name) - 4
    for size in range(8, int.from_bytes(data[at : at + 4], "big")):
        cut = data[:at] + size.to_bytes(4, "big") + data[at + 4 : at + size]
        with contextlib.suppress(Malformed):
            fault(cut)


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_a_picture_ends_where_its_boxes_do(kind: str) -> None:
    """Not where the file ends; a file that ends before is cut off."""
    data = odd.written(kind)
    for more in (b"", b"\n", b"\0\0\0\x08free", odd.GALAXY, odd.FILM, b"\xff" * 20, b"\0\0\0\1mdat"):
        assert read(memoryview(data + more)).end in {len(data), len(data + more)}
        assert read(memoryview(data + more)).end == len(data)
    for length in range(20, len(data)):
        assert fault(data[:length]) == CUT_OFF


def test_a_film_cut_off_behind_a_picture_is_no_loss_but_in_its_data() -> None:
    """A box that no picture needs may be cut, one with media data may not."""
    data = odd.written("HEIF")
    film = b"\0\0\0\x18mpvd" + bytes(16)

    assert fault(data + film[:-1]) is None
    assert fault(data + film.replace(b"mpvd", b"mdat")) is None
    assert fault(data + film.replace(b"mpvd", b"mdat")[:-1]) == CUT_OFF


def test_the_last_box_may_reach_to_the_end_of_the_file() -> None:
    """Its length is zero then."""
    data = odd.written("HEIF")
    at = data.index(b"mdat") - 4
    open_ended = data[:at] + bytes(4) + data[at + 4 :]

    assert read(memoryview(open_ended)).end == len(data)
    assert fault(open_ended[:-1]) == CUT_OFF


@pytest.mark.parametrize(("kind", "coding"), [("HEIF", b"hvc1"), ("AVIF", b"av01")])
def test_coding_exif_and_colours_are_read(kind: str, coding: bytes) -> None:
    """Of the primary item."""
    found = read(memoryview(odd.turned(kind, container=1, stated=6)))

    assert (found.coding, found.turned) == (coding, False)
    assert found.exif.startswith(b"MM\0*")
    assert read(memoryview(odd.turned(kind, container=6, stated=1))).turned
    assert found.code_points is not None


def test_a_grid_has_the_coding_of_its_tiles() -> None:
    """And is turned if it is turned itself."""
    found = read(made())

    assert (found.coding, found.end, found.coded, found.turned) == (b"hvc1", len(made()), (128, 128), False)
    assert found.grid is not None
    assert (found.grid.columns, found.grid.tile_width, found.grid.tiles) == (2, 64, (1, 2, 3, 4))
    assert read(made(turns=1)).turned


@pytest.mark.parametrize("kind", heifs.CODINGS)
def test_exif_counts_only_for_the_item_that_it_describes(kind: str) -> None:
    """Not for a thumbnail's, a tile's or nobody's; of two, the first; as in libheif and libavif."""
    small = heifs.image(kind)
    single = {1: heifs.image(kind, heifs.SIZE), 2: heifs.exif(6), 3: heifs.exif(3), 4: small}
    expected = odd.exif(6)[6:]
    for links, exif in (
        ([("cdsc", 2, (1,))], expected),
        ([("cdsc", 2, (4, 1))], expected),
        ([("cdsc", 2, (1,)), ("cdsc", 3, (1,))], expected),
        ([("cdsc", 2, (4,)), ("thmb", 4, (1,))], b""),
        ([("cdsc", 4, (1,))], b""),
        ([], b""),
    ):
        assert read(memoryview(heifs.file(kind, single, links))).exif == exif
    tiles = {**heifs.grid(kind), 8: heifs.exif(6)}
    assert read(memoryview(heifs.file(kind, tiles, [*heifs.FOUR, ("cdsc", 8, (1,))]))).exif == expected
    assert read(memoryview(heifs.file(kind, tiles, [*heifs.FOUR, ("cdsc", 8, (2, 3, 4, 5))]))).exif == b""


def lists_without_end() -> list[bytes]:
    """Files of a few KB whose lists say that they have millions of entries without bytes."""
    iloc = boxes.full(b"iloc", 0, b"\0\0", b"\x10\0", b"\0\1\0\0\xff\xff" * 4096)
    iref = boxes.full(b"iref", 0, boxes.box(b"dimg", b"\0\1\xff\xff") * 4000)
    uses = boxes.full(b"ipma", 0, (4096).to_bytes(4, "big"), (b"\0\1\xff" + bytes(255)) * 100)
    iprp = boxes.box(b"iprp", boxes.box(b"ipco"), uses)
    return [boxes.box(b"ftyp", boxes.BRANDS) + boxes.full(b"meta", 0, one) for one in (iloc, iref, iprp)]


def test_lists_are_read_so_far_and_no_further() -> None:
    """However many entries they claim: not even as many steps as the limit on entries times a few."""
    control = time.process_time()
    for number in range(ENTRIES_MAX * 20):
        int.from_bytes(number.to_bytes(4, "big"), "big")
    control = time.process_time() - control
    for data in lists_without_end():
        began = time.process_time()
        with contextlib.suppress(Malformed, Refused):
            read(memoryview(data))
        assert time.process_time() - began < 20 * control


def test_a_file_without_a_picture_is_cut_off_or_a_film() -> None:
    """A film has no coding that counts."""
    assert fault(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic") == CUT_OFF
    assert read(memoryview(b"\0\0\0\x18ftypmsf1\0\0\0\0mif1heic\0\0\0\x08moov")).coding == b""
