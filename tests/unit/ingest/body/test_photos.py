"""Photo headers: each type we take, whole and cut off, and what is none."""

import io

import pytest
from PIL import Image

from ingest.body.photos import STEPS_MAX, BadPhoto, NotAPhoto, inspect, is_whole
from storage.photo.formats import Limits

LIMITS = Limits()
PILLOW_NAMES = {"jpeg": "JPEG", "png": "PNG", "webp": "WEBP", "heif": "HEIF"}


def photo(kind: str, **options: object) -> memoryview:
    """A small photo of noise, so that its middle is data."""
    out = io.BytesIO()
    Image.effect_noise((96, 128), 80).convert("RGB").save(out, PILLOW_NAMES[kind], **options)
    return memoryview(out.getvalue())


@pytest.mark.parametrize("kind", PILLOW_NAMES)
def test_each_type_is_known_by_its_bytes(kind: str) -> None:
    """Format, size and digest come out as they are."""
    data = photo(kind)
    known = inspect("front", data, "0" * 64, LIMITS)

    assert (known.format, known.width, known.height, known.bytes) == (kind, 96, 128, len(data))


@pytest.mark.parametrize("kind", PILLOW_NAMES)
def test_a_cut_photo_is_bad_wherever_it_was_cut(kind: str) -> None:
    """After the magic bytes, at every eighth, and one byte before the end."""
    data = photo(kind)
    for length in [*range(len(data) // 8, len(data), len(data) // 8), len(data) - 1]:
        with pytest.raises(BadPhoto, match="the back photo"):
            inspect("back", data[:length], "", LIMITS)


def test_a_jpeg_cut_after_its_thumbnail_is_not_taken_for_whole() -> None:
    """The end marker of an EXIF thumbnail is not the photo's."""
    thumbnail, data = photo("jpeg"), photo("jpeg")
    exif = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + bytes(thumbnail)
    data = memoryview(bytes(data[:2]) + exif + bytes(data[2:]))

    assert is_whole("jpeg", data)
    assert b"\xff\xd9" in bytes(data[:-1000])
    assert not is_whole("jpeg", data[:-1000])


def test_bytes_after_a_jpegs_end_are_no_harm() -> None:
    """Phones append films to photos."""
    assert all(is_whole("jpeg", memoryview(bytes(photo("jpeg")) + b"\0\0\0\x18ftypmp42" * more)) for more in (1, 1000))


def test_bytes_after_a_pngs_end_are_no_harm() -> None:
    """Some cameras append as well."""
    assert is_whole("png", memoryview(bytes(photo("png")) + bytes(1000)))


def test_a_webp_is_as_long_as_it_says() -> None:
    """To the byte, the eight before its length included."""
    data = photo("webp")

    assert is_whole("webp", data)
    assert not is_whole("webp", data[:-1])


@pytest.mark.parametrize(
    ("last", "whole"),
    [
        (b"\0\0\0\x0cmdat1234", True),
        (b"\0\0\0\x0dmdat1234", False),
        (b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x141234", True),
        (b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x151234", False),
        (b"\0\0\0\0mdat and all that follows", True),
        (b"\0\0\0\x07mdat", False),
        (b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x0f", False),
        (b"\0\0\0\x01mdat\0\0\0\0\0\0\0\0", False),
    ],
)
def test_a_heics_boxes_end_where_it_does(last: bytes, *, whole: bool) -> None:
    """Lengths of 32 and of 64 bits, none at all, and some that cannot be."""
    assert is_whole("heif", memoryview(b"\0\0\0\x08ftyp" + last)) is whole


@pytest.mark.parametrize("header", [b"\0\0\0\0mdat", b"\0\0\0\x08free", b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x10"])
def test_a_heic_cut_inside_a_boxs_header_is_cut(header: bytes) -> None:
    """Wherever in it, though its first bytes are the zeros that stand for "to the end"; the whole header is a box."""
    data = bytes(photo("heif"))
    for length in range(1, len(header)):
        assert not is_whole("heif", memoryview(data + header[:length]))

    assert is_whole("heif", memoryview(data))
    assert is_whole("heif", memoryview(data + header))


@pytest.mark.parametrize(
    ("mode", "options"), [("L", {}), ("RGB", {"quality": 1}), ("CMYK", {}), ("RGB", {"progressive": 1})]
)
def test_a_jpegs_size_is_what_pillow_says(mode: str, options: dict[str, int]) -> None:
    """Grey, colours, print colours, baseline and progressive: width and height as the library reads them."""
    out = io.BytesIO()
    Image.new(mode, (321, 123)).save(out, "JPEG", **options)
    known = inspect("front", memoryview(out.getvalue()), "", LIMITS)

    assert (known.width, known.height) == (321, 123)


@pytest.mark.parametrize("before", [b"\xff", b"\xff\x01", b"\xff\xc4\0\x04\0\0", b"\xff\xcc\0\x03\0"])
def test_what_may_stand_before_the_frame_is_passed_over(before: bytes) -> None:
    """A fill byte, a marker without a length, tables whose markers lie among the frames' (T.81, table B.1)."""
    data = photo("jpeg")
    known = inspect("front", memoryview(bytes(data[:2]) + before + bytes(data[2:])), "", LIMITS)

    assert (known.width, known.height) == (96, 128)


@pytest.mark.parametrize(("offset", "value"), [(4, 12), (9, 2)])
def test_a_jpeg_of_a_kind_no_decoder_takes_is_bad(offset: int, value: int) -> None:
    """Twelve bits a sample, two components: the frame header says so."""
    data = bytearray(photo("jpeg"))
    data[data.index(b"\xff\xc0") + offset] = value
    with pytest.raises(BadPhoto, match="header"):
        inspect("front", memoryview(data), "", LIMITS)


@pytest.mark.parametrize(("steps", "whole"), [(STEPS_MAX - 20, True), (STEPS_MAX + 1, False)])
def test_a_header_is_read_so_far_and_no_further(steps: int, whole: bool) -> None:  # noqa: FBT001
    """Millions of fill bytes or empty boxes would keep a node from its other uploads."""
    jpeg, heif = bytes(photo("jpeg")), bytes(photo("heif"))

    assert is_whole("jpeg", memoryview(jpeg[:2] + b"\xff" * steps + jpeg[2:])) is whole
    assert is_whole("heif", memoryview(heif + b"\0\0\0\x08free" * steps)) is whole


def test_progressive_and_baseline_are_both_taken() -> None:
    """Several scans end in one end."""
    for progressive in (False, True):
        assert inspect("front", photo("jpeg", progressive=progressive), "", LIMITS).format == "jpeg"


@pytest.mark.parametrize("data", [b"hello", b"GIF89a", b"\xff\xd8", b"RIFF\0\0\0\0AVI ", b"\0\0\0\x18ftypqt  "])
def test_other_types_are_no_photos(data: bytes) -> None:
    """By their first bytes, whatever their name."""
    with pytest.raises(NotAPhoto, match="the front photo"):
        inspect("front", memoryview(data), "", LIMITS)


def test_a_header_of_rubbish_is_a_bad_photo() -> None:
    """Magic bytes and nothing behind them."""
    for magic in (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x20\0\0\0WEBP", b"\0\0\0\x18ftypheic"):
        with pytest.raises(BadPhoto):
            inspect("front", memoryview(magic + b"rubbish" * 10), "", LIMITS)


def test_pixels_are_limited_from_both_sides() -> None:
    """One more than the limit is refused, the limit is not."""
    data = photo("png")
    assert inspect("front", data, "", Limits(pixels_max=96 * 128)).width == 96
    with pytest.raises(BadPhoto, match="96x128 pixels are 0 megapixels"):
        inspect("front", data, "", Limits(pixels_max=96 * 128 - 1))
    webp = io.BytesIO()
    Image.new("L", (6000, 6600)).save(webp, "webp", quality=1)
    with pytest.raises(BadPhoto, match=r"6000x6600 pixels are 39.6 megapixels; the limit for WebP is 39.5"):
        inspect("front", memoryview(webp.getvalue()), "", Limits())
    for limits in (Limits(side_px_min=97), Limits(side_px_max=127)):
        with pytest.raises(BadPhoto, match="96x128 pixels; a side must have"):
            inspect("front", data, "", limits)
