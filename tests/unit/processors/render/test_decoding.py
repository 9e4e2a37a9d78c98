"""Decoding: what is hostile ends with a reason, what is odd ends as a picture, what is ours is a MemoryError."""

import io
import struct
import sys
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageCms

from processors.render.decoding import Undecodable, decoded
from processors.render.resampling import fitted
from storage.photo.costs import SCANS_MAX
from storage.photo.formats import DECODABLE, MIB, Limits
from storage.photo.judge import judged
from tests.unit.processors.test_memory import said


def written(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    """The image as a file of this format."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_with(*chunks: bytes) -> bytes:
    """A good PNG with more chunks behind its header."""
    png = written(PICTURE, "PNG")
    return png[:33] + b"".join(chunks) + png[33:]


def png_claiming(width: int, height: int) -> bytes:
    """A PNG of few bytes whose header promises this size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def reason(photo: bytes, limits: Limits = DECODABLE) -> str:
    """Why this photo is refused."""
    with pytest.raises(Undecodable) as refused:
        decoded(photo, 2000, limits)
    return refused.value.reason


PICTURE = Image.effect_noise((120, 160), 50).convert("RGB")
GREY16 = Image.fromarray(np.arange(120 * 160, dtype=np.uint16).reshape(160, 120))
ZEROS = zlib.compress(bytes(300 * MIB), 9)  # 300 KB that become 300 MiB
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

ODD: dict[str, Callable[[], bytes]] = {
    "CMYK": lambda: written(PICTURE.convert("CMYK")),
    "16 bit": lambda: written(GREY16, "PNG"),
    "1 bit": lambda: written(PICTURE.convert("1"), "PNG"),
    "palette with transparency": lambda: written(PICTURE.quantize(8), "PNG", transparency=0),
    "grey with alpha": lambda: written(PICTURE.convert("LA"), "PNG"),
    "WebP with alpha": lambda: written(PICTURE.convert("RGBA"), "WEBP"),
    "animated PNG": lambda: written(PICTURE, "PNG", save_all=True, append_images=[PICTURE.rotate(180)]),
    "animated WebP": lambda: written(PICTURE, "WEBP", save_all=True, append_images=[PICTURE.rotate(180)] * 30),
    "broken EXIF": lambda: written(PICTURE, exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xffgarbage"),
    "EXIF pointing into itself": lambda: written(
        PICTURE, exif=b"Exif\0\0II*\0\x08\0\0\0\1\0\x69\x87\4\0\1\0\0\0\x08\0\0\0\x08\0\0\0"
    ),
    "broken ICC": lambda: written(PICTURE, icc_profile=SRGB[:200] + b"\xff" * 500),
    "ICC for grey in a colour photo": lambda: written(PICTURE, icc_profile=SRGB.replace(b"RGB ", b"GRAY", 1)),
    "bytes behind the end": lambda: written(PICTURE) + bytes(10_000),
    "HEIC": lambda: written(PICTURE, "HEIF"),
    "AVIF": lambda: written(PICTURE, "AVIF"),
    "AVIF with alpha": lambda: written(PICTURE.convert("RGBA"), "AVIF"),
    "ICC bomb": lambda: png_with(chunk(b"iCCP", b"x\0\0" + ZEROS)),
    "text bomb": lambda: png_with(chunk(b"zTXt", b"Comment\0\0" + ZEROS)),
    "many texts": lambda: png_with(*[chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(MIB - 1), 9))] * 99),
}


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
@pytest.mark.parametrize("kind", ODD)
def test_what_is_odd_is_still_a_picture(kind: str) -> None:
    """Layouts, frames and metadata that cannot be read are no reason to refuse a photo."""
    image = decoded(ODD[kind](), 2000, DECODABLE)

    assert (image.mode, image.size, image.info) == ("RGB", (120, 160), {})


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "a strip": (lambda: written(Image.new("RGB", (70_000, 1)), "PNG"), "70000x1 pixels; a side must have 1 to 65500"),
    "a TIFF called photo.jpg": (lambda: written(PICTURE, "TIFF"), "not a JPEG, PNG, WebP, HEIC or AVIF image"),
    "a GIF": (lambda: written(PICTURE, "GIF"), "not a JPEG, PNG, WebP, HEIC or AVIF image"),
    "SVG": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a JPEG, PNG, WebP, HEIC or AVIF image"),
    "a JPEG's first bytes": (lambda: b"\xff\xd8\xff" + bytes(500), "cut off: its end is missing"),
    "only a header": (lambda: written(PICTURE)[:700], "cut off: its end is missing"),
    "only a HEIC's first box": (lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "cut off: its end is missing"),
    "a PNG whose pixels end early": (
        lambda: written(PICTURE, "PNG")[:33] + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b""),
        "PNG",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_hostile_is_refused_with_a_reason(kind: str) -> None:
    """A sentence that names the format or the rule, and nothing of Python's in it."""
    make, expected = HOSTILE[kind]

    found = reason(make())

    assert found.endswith(expected)
    assert not {"Error", "error", "<", "'"} & set(found.split())


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("size", [(60_000, 60_000), (12_000, 9_000), (10_001, 5_200)])
def test_a_bomb_is_refused_by_its_header(size: tuple[int, int]) -> None:
    """More than the memory is enough for is never decoded, whether Pillow warns, refuses or finds it fine."""
    assert "megapixels" in reason(png_claiming(*size))


def test_a_photo_that_takes_more_than_any_of_its_size_is_its_own_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """What any may take was there: to try it again would end as badly."""

    def load(_: object) -> None:
        raise MemoryError

    photo = written(PICTURE, "PNG")
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)

    assert reason(photo) == "a PNG that needs more memory than its size explains"


@pytest.mark.parametrize("size", [(1, 65_501), (65_501, 64)])
def test_sides_have_bounds(size: tuple[int, int]) -> None:
    """A side that no format but PNG can state is refused, and the reason says the sizes."""
    assert reason(png_claiming(*size)) == f"{size[0]}x{size[1]} pixels; a side must have 1 to 65500"


def test_a_jpeg_of_very_many_scans_is_refused() -> None:
    """Each scan of a progressive JPEG is a pass over all pixels, so their number is bounded."""
    photo = written(PICTURE, progressive=True)
    last = photo[photo.rfind(b"\xff\xda") : -2]
    more = SCANS_MAX - photo.count(b"\xff\xda")

    assert reason(photo[:-2] + last * (more + 1) + photo[-2:]) == f"a JPEG of more than {SCANS_MAX} scans"
    assert decoded(photo[:-2] + last * more + photo[-2:], 2000, DECODABLE).size == (120, 160)


@pytest.mark.parametrize("frame", [0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF])
def test_a_jpeg_in_a_coding_that_no_phone_writes_is_refused(frame: int) -> None:
    """Lossless, differential and arithmetic frames, before a decoder sees them."""
    photo = written(PICTURE).replace(b"\xff\xc0", bytes((0xFF, frame)), 1)

    assert f"(SOF{frame - 0xC0}), which no phone writes" in reason(photo)


@pytest.mark.parametrize(
    "photo", [b"", b"\xff", b"hello, I am a photo.jpg", b"GIF89a" + bytes(99), b"%PDF-1.7", bytes(5000)]
)
def test_what_is_no_photo_is_refused(photo: bytes) -> None:
    """Text, nothing, and formats we do not take get the same plain answer."""
    assert reason(photo) == "not a JPEG, PNG, WebP, HEIC or AVIF image"


def test_a_photo_beyond_the_limits_is_refused_before_it_is_decoded() -> None:
    """With the sentence of `formats.Limits`; the limits themselves are tested there."""
    assert reason(written(PICTURE, "PNG"), Limits(pixels_max=120 * 160 - 1)).startswith("120x160 pixels, which are ")
    assert decoded(written(PICTURE, "PNG"), 2000, Limits(pixels_max=120 * 160)).size == (120, 160)


@pytest.mark.parametrize(("width", "height", "decoded_at"), [(16_320, 12_240, 8), (12_000, 9000, 4), (20_000, 300, 8)])
def test_the_largest_photos_of_phones_are_reduced_while_they_are_decoded(
    width: int, height: int, decoded_at: int
) -> None:
    """200 MP, 108 MP and a panorama: at an eighth or a quarter, so that few pixels are in memory."""
    photo = written(Image.new("L", (width, height), 90), quality=30)
    with judged(memoryview(photo), DECODABLE).opened() as image:
        image.draft(None, fitted(image.size, 2000))
        assert image.size[0] == -(-width // decoded_at)
    image = decoded(photo, 2000)

    assert image.size == fitted((width, height), 2000)
    assert image.getpixel((0, 0)) == pytest.approx((90, 90, 90), abs=2)


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts mappings on Linux alone")
@pytest.mark.parametrize("kind", ["JPEG", "PROGRESSIVE", "PNG", "WEBP", "HEIF", "AVIF"])
def test_a_lack_of_memory_is_ours_and_never_called_corrupt(kind: str) -> None:
    """Under every limit from too little to enough a good photo is decoded or a MemoryError, and the process lives."""
    ends = said(f"""
import io, resource
from PIL import Image
from processors.render.decoding import Undecodable, decoded
from storage.photo.formats import Limits
limits = Limits(decode_bytes_max=80 << 20)
buffer, kind = io.BytesIO(), {kind!r}
options = {{"progressive": True}} if kind == "PROGRESSIVE" else {{"method": 0}} if kind == "WEBP" else {{}}
picture = Image.linear_gradient("L").resize((2400, 1800)).convert("RGB")
picture.save(buffer, "JPEG" if options.get("progressive") else kind, **options)
decoded(buffer.getvalue(), 2000, limits)
taken = [int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData")][0] * 1024
ends = []
for more in range(0, 129, 8):
    resource.setrlimit(resource.RLIMIT_DATA, (taken + (more << 20), resource.RLIM_INFINITY))
    try:
        decoded(buffer.getvalue(), 2000, limits)
        ends.append("done")
    except MemoryError:
        ends.append("told")
    except Undecodable as error:
        ends.append(error.reason)
print(*ends)
""").split()

    assert set(ends) == {"told", "done"}
    assert ends == sorted(ends, reverse=True)
