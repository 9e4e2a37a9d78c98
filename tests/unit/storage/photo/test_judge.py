"""The judge: each format, whole and cut off, limits from both sides. Agreement with workers: tests/contract."""

import io

import pytest
from PIL import Image

from storage.photo.formats import Limits
from storage.photo.judge import NotAPhoto, Refused, judged
from tests.unit.storage.photo import odd

KINDS = {"jpeg": "JPEG", "png": "PNG", "webp": "WEBP", "heif": "HEIF", "avif": "AVIF"}


def reason(data: bytes, limits: Limits | None = None) -> str:
    """Why the photo is refused."""
    with pytest.raises(Refused) as refused:
        judged(memoryview(data), limits or Limits())
    return str(refused.value)


@pytest.mark.parametrize("kind", KINDS)
def test_each_format_is_known_by_its_bytes(kind: str) -> None:
    """And its size is read from the header."""
    found = judged(memoryview(odd.written(KINDS[kind])), Limits())

    assert (found.format, found.width, found.height) == (kind, 96, 128)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_photo_is_refused_wherever_it_was_cut(kind: str) -> None:
    """After the magic bytes, at every eighth, and one byte before the end."""
    data = odd.written(KINDS[kind])
    for length in [*range(len(data) // 8, len(data), len(data) // 8), len(data) - 1]:
        assert reason(data[:length])


def test_a_jpeg_cut_after_its_thumbnail_is_not_taken_for_whole() -> None:
    """The end marker of an EXIF thumbnail is not the photo's."""
    thumbnail, data = odd.written("JPEG"), odd.written("JPEG")
    data = odd.behind_magic(data, odd.segment(0xE1, thumbnail))

    assert judged(memoryview(data), Limits())
    assert b"\xff\xd9" in data[:-200]
    assert reason(data[:-200]) == "cut off: its end is missing"


@pytest.mark.parametrize("kind", KINDS)
def test_a_decoder_gets_nothing_that_was_appended(kind: str) -> None:
    """Films and notes behind the picture stay with the judge; a WebP's decoder reads as far as its length says."""
    data = odd.written(KINDS[kind])
    with judged(memoryview(data + odd.FILM), Limits()).opened() as image:
        assert image.size == odd.SIZE
        image.load()


@pytest.mark.parametrize("data", [b"hello", b"GIF89a", b"\xff\xd8", b"RIFF\0\0\0\0AVI ", b"\0\0\0\x18ftypqt  ", b""])
def test_other_formats_are_no_photos(data: bytes) -> None:
    """By their first bytes, whatever their name."""
    with pytest.raises(NotAPhoto, match="not a JPEG, PNG, WebP, HEIC or AVIF image"):
        judged(memoryview(data), Limits())


def test_a_jpeg_begins_with_two_markers() -> None:
    """SOI and another one, as in the WHATWG's table; libjpeg alone would skip bytes in between."""
    jpeg = odd.written("JPEG")
    assert judged(memoryview(jpeg[:2] + b"\xff\xff" + jpeg[2:]), Limits())
    with pytest.raises(NotAPhoto):
        judged(memoryview(jpeg[:2] + b"\0\xe1" + jpeg[2:]), Limits())


@pytest.mark.parametrize("magic", [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x20\0\0\0WEBP", b"\0\0\0\x18ftypheic"])
def test_a_header_of_rubbish_is_refused(magic: bytes) -> None:
    """Magic bytes and nothing behind them."""
    assert reason(magic + b"rubbish" * 10)


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_and_sides_are_limited_from_both_sides(kind: str) -> None:
    """One more than the limit is refused, the limit is not."""
    data = odd.written(KINDS[kind])
    assert judged(memoryview(data), Limits(pixels_max=96 * 128, side_px_min=96, side_px_max=128)).width == 96
    assert reason(data, Limits(pixels_max=96 * 128 - 1)).startswith("96x128 pixels, which are 0 megapixels")
    for limits in (Limits(side_px_min=97), Limits(side_px_max=127)):
        assert reason(data, limits).startswith("96x128 pixels; a side must have")


def test_a_webp_that_claims_too_much_never_reaches_its_decoder() -> None:
    """libwebp would allocate half of its memory for the canvas."""
    out = io.BytesIO()
    Image.new("RGBA", (96, 128)).save(out, "WEBP", save_all=True, append_images=[Image.new("RGBA", (96, 128), "red")])
    data = out.getvalue()
    huge = data[:24] + b"\xff\xff\x00" * 2 + data[30:]

    assert reason(huge).startswith("65536x65536 pixels")


def test_a_coding_without_a_decoder_is_named() -> None:
    """Not called a corrupt HEIC."""
    heic = odd.written("HEIF")
    assert reason(heic.replace(b"hvc1", b"vvc1")) == "a HEIF with a picture in vvc1 coding; send HEVC or AV1"
    assert reason(heic.replace(b"hvc1", b'\0\n"<')) == "a HEIF with a picture in unknown coding; send HEVC or AV1"
