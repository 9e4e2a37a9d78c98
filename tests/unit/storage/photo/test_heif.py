"""HEIF boxes: what encoders write passes, what makes a decoder work twice does not, rubbish is malformed."""

import io

import pytest
from PIL import Image
from pillow_heif import register_heif_opener

from bench.contests import boxes
from storage.photo.heif import Malformed, fault

TILE = boxes.tile(Image.new("RGB", (64, 64), "teal"), 50, 420)


def made(columns: int = 2, **oddities: int) -> memoryview:
    """A grid by hand."""
    return memoryview(boxes.picture(TILE, 64, columns, **oddities))


def items(*more: boxes.Item, inputs: tuple[int, ...] = (1, 2)) -> memoryview:
    """Two tiles, whatever else, and a grid of these."""
    data = TILE[1] * 2
    two = (boxes.Item(b"hvc1", (1,), (0, len(TILE[1]))), boxes.Item(b"hvc1", (1,), (len(TILE[1]), len(TILE[1]))))
    return memoryview(boxes.file([*two, *more, boxes.Item(b"grid", (), (0, 0), inputs)], [TILE[0]], data))


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


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (made(turns=2), "turns an image more than once"),
        (made(1, turns=60), "turns an image more than once"),
        (made(shared=1), "uses its bytes more than once"),
        (made(copies=1), "is derived from other images"),
        (items(boxes.Item(b"iovl", (), (0, 0), ())), "is derived from other images"),
        (items(inputs=(1, 2, 1)), "uses an image more than once"),
        (memoryview(bytes(made()) + bytes(made())), "has two boxes of a kind that comes once"),
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
        try:
            fault(memoryview(cut))
        except Malformed:
            continue


def test_a_file_without_images_is_the_decoders_matter() -> None:
    """It cannot be decoded anyway."""
    assert fault(memoryview(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")) is None
