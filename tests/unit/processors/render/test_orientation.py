"""How a photo lies and which colours it has, by what its file says: EXIF, container, XMP, profile, code points."""

import io
from typing import cast

import pillow_heif
import pytest
import pyvips
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from bench.contests.bombs import chunk
from processors.render.decoding import decoded
from tests.unit.processors.render.test_decoding import SRGB, written
from tests.unit.storage.photo import heifs, odd


def corners(image: Image.Image) -> list[str]:
    """The colours of the picture's corners, from the top left clockwise."""
    right, bottom = image.width - 6, image.height - 6
    found = [cast("tuple[int, ...]", image.getpixel(at)) for at in ((5, 5), (right, 5), (right, bottom), (5, bottom))]
    return ["".join("-+"[channel > 128] for channel in colour) for colour in found]


def shown_by_libvips(orientation: int) -> list[str]:
    """The corners of a JPEG with this EXIF orientation as libvips turns it."""
    photo = odd.written("JPEG", exif=odd.exif(orientation), quality=95)
    return corners(Image.fromarray(pyvips.Image.new_from_buffer(photo, "").autorot().numpy()))


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_a_picture_whose_container_does_not(kind: str, orientation: int) -> None:
    """As a JPEG with the same EXIF is turned; where the container turns it, EXIF is ignored, whatever it says."""
    expected = shown_by_libvips(orientation)

    assert corners(decoded(odd.turned(kind, container=1, stated=orientation), 2000)) == expected
    for stated in (1, orientation, 3):
        if orientation != 1:
            assert corners(decoded(odd.turned(kind, container=orientation, stated=stated), 2000)) == expected


@pytest.mark.parametrize("kind", heifs.CODINGS)
def test_exif_of_another_item_turns_nothing(kind: str) -> None:
    """Neither that of a thumbnail nor that of no item."""
    items = {1: heifs.image(kind, (160, 96)), 2: heifs.exif(6), 3: heifs.image(kind)}
    for links, size in (
        ([("cdsc", 2, (1,))], (96, 160)),
        ([("cdsc", 2, (3,)), ("thmb", 3, (1,))], (160, 96)),
        ([("cdsc", 2, (3,))], (160, 96)),
        ([], (160, 96)),
    ):
        assert decoded(heifs.file(kind, items, links), 2000).size == size


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_every_other_format(kind: str, orientation: int) -> None:
    """As libvips does."""
    photo = odd.written(kind, exif=odd.exif(orientation))

    assert corners(decoded(photo, 2000)) == shown_by_libvips(orientation)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF", "AVIF"])
def test_an_orientation_in_xmp_alone_does_not_count(kind: str) -> None:
    """Browsers, libvips and phones read EXIF; a program that turns pixels upright may leave the XMP as it was."""
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="1"/></x:xmpmeta>'
    options = {"pnginfo": _text("XML:com.adobe.xmp", xmp.decode())} if kind == "PNG" else {"xmp": xmp}
    photo = odd.written(kind, **options)
    at = photo.index(b'Orientation="1"') + 13  # Encoders would write another one into the container too.
    photo = photo[:at] + b"6" + photo[at + 1 :]

    assert corners(decoded(photo, 2000)) == corners(odd.drawn())


def _text(name: str, value: str) -> PngInfo:
    info = PngInfo()
    info.add_itxt(name, value)
    return info


@pytest.mark.parametrize("kind", ["PNG", "HEIF", "AVIF"])
def test_code_points_are_the_colour_space_where_there_is_no_profile(kind: str) -> None:
    """A grey of PQ, 203 cd/m2, becomes as light as the tone curve says; without code points it stays as it is."""
    flat = Image.new("RGB", (96, 96), (148, 148, 148))
    photo = written(flat, kind)
    points = chunk(b"cICP", b"\x09\x10\0\1")
    if kind == "PNG":
        hdr = odd.behind_header(photo, points)
    else:
        at = photo.index(b"colrnclx") + 8
        hdr = photo[:at] + b"\0\x09\0\x10" + photo[at + 4 :]
    plain, toned = (decoded(one, 2000).getpixel((48, 48)) for one in (photo, hdr))

    assert plain == pytest.approx((148, 148, 148), abs=1)
    assert toned == pytest.approx((188, 188, 188), abs=2)


def test_a_png_prefers_code_points_and_other_formats_prefer_a_profile() -> None:
    """PNG, section 4.3; in HEIF a profile says more than code points."""
    flat = Image.new("RGB", (96, 96), (148, 148, 148))
    png = odd.behind_header(written(flat, "PNG", icc_profile=SRGB), chunk(b"cICP", b"\x09\x10\0\1"))
    avif = written(flat, "AVIF", icc_profile=SRGB).replace(b"colrnclx\0\1\0\x0d", b"colrnclx\0\x09\0\x10")

    assert decoded(png, 2000).getpixel((48, 48)) == pytest.approx((188, 188, 188), abs=2)
    assert decoded(avif, 2000).getpixel((48, 48)) == pytest.approx((148, 148, 148), abs=1)


@pytest.mark.parametrize(("transfer", "toned"), [(16, 188), (18, 190)])
def test_ten_bits_of_hdr_are_toned_like_eight(transfer: int, toned: int) -> None:
    """As phones record it: 58 % in PQ and 75 % in HLG are 203 cd/m2, the white of SDR."""
    level = {16: 0.58, 18: 0.75}[transfer]
    pixels = round(level * 65_535).to_bytes(2, "little") * 3 * 96 * 96
    out = io.BytesIO()
    pillow_heif.from_bytes("RGB;16", (96, 96), pixels).save(out, quality=90)
    photo = out.getvalue()
    at = photo.index(b"colrnclx") + 8
    hdr = photo[:at] + bytes((0, 9, 0, transfer)) + photo[at + 4 :]

    assert pillow_heif.open_heif(io.BytesIO(hdr), convert_hdr_to_8bit=False).info["bit_depth"] == 10
    assert decoded(hdr, 2000).getpixel((48, 48)) == pytest.approx((toned, toned, toned), abs=4)
