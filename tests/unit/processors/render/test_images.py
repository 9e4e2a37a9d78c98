"""Images: renditions of photos made here, in every format and state that phones and attackers send."""

import base64
import contextlib
import hashlib
import io
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
import thumbhash
from PIL import Image, ImageCms, JpegImagePlugin, PngImagePlugin

from processors.render.decoding import Undecodable
from processors.render.images import Rendition, Renditions, render

ROOT = Path(__file__).parents[4]
RED, GREEN, BLUE, GREY = (220, 30, 30), (30, 200, 30), (30, 30, 220), (120, 120, 120)
SECRET = b"N48.8584 E2.2945 secret"
# How a picture must be stored so that this orientation shows it upright: the inverse turn.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def quarters(width: int = 120, height: int = 160) -> Image.Image:
    """A picture with a colour in each corner: red, green, blue, grey by reading order."""
    image = Image.new("RGB", (2, 2))
    image.putdata([RED, GREEN, BLUE, GREY])
    return image.resize((width, height), Image.Resampling.NEAREST)


def written(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    """The image as a file of this format."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noisy(width: int, height: int) -> bytes:
    """A JPEG with detail, the same each time."""
    pixels = np.random.default_rng(7).integers(0, 255, (height // 8, width // 8, 3), np.uint8)
    return written(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC), quality=85)


def named(renditions: Renditions) -> dict[str, Rendition]:
    """The renditions by name."""
    return {one.name: one for one in renditions.images}


def shown(one: Rendition) -> Image.Image:
    """The rendition decoded, as a viewer would."""
    image = Image.open(io.BytesIO(one.data))
    image.load()
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (one.width, one.height))
    return image


def corners(image: Image.Image) -> list[tuple[int, int, int]]:
    """The colours a sixth into each corner, reading order, roughly."""
    (width, height), found = image.size, []
    for x, y in ((1, 1), (5, 1), (1, 5), (5, 5)):
        pixel = image.getpixel((width * x // 6, height * y // 6))
        assert isinstance(pixel, tuple)
        found.append(
            min((RED, GREEN, BLUE, GREY), key=lambda name: sum(abs(a - b) for a, b in zip(name, pixel, strict=True)))
        )
    return found


def front_of(photo: bytes) -> Image.Image:
    """The full rendition of this photo as the front."""
    return shown(named(render(photo, PLAIN))["front-full"])


def refusal(photo: bytes) -> str:
    """Why this front photo is refused."""
    with pytest.raises(Undecodable) as refused:
        render(photo, PLAIN)
    assert str(refused.value) == refused.value.reason
    return refused.value.reason


PLAIN = written(quarters())
FORMATS: dict[str, Callable[[Image.Image], bytes]] = {
    "jpeg": written,
    "progressive": lambda image: written(image, progressive=True),
    "cmyk": lambda image: written(image.convert("CMYK")),
    "mpo": lambda image: written(image, "MPO", save_all=True, append_images=[image.rotate(180)]),
    "png": lambda image: written(image, "PNG"),
    "palette": lambda image: written(image.quantize(16), "PNG"),
    "alpha": lambda image: written(image.convert("RGBA"), "PNG"),
    "apng": lambda image: written(image, "PNG", save_all=True, append_images=[image.rotate(180)]),
    "webp": lambda image: written(image, "WEBP"),
    "animated": lambda image: written(image, "WEBP", save_all=True, append_images=[image.rotate(180)]),
    "heic": lambda image: written(image, "HEIF"),
}


def test_a_pair_gives_seven_renditions_large_sides_reduced() -> None:
    """Long sides 320, 1080, 2000 in the photo's proportions, and a composite as large as the back's feed."""
    sizes = {name: (one.width, one.height) for name, one in named(render(noisy(3000, 2250), noisy(1500, 2000))).items()}

    assert list(sizes.items()) == [
        ("front-thumb", (320, 240)),
        ("front-feed", (1080, 810)),
        ("front-full", (2000, 1500)),
        ("back-thumb", (240, 320)),
        ("back-feed", (810, 1080)),
        ("back-full", (1500, 2000)),
        ("composite", (810, 1080)),
    ]


@pytest.mark.parametrize("size", [(64, 64), (300, 200), (400, 1000), (12_000, 64), (2001, 2000), (4032, 3024)])
def test_nothing_is_enlarged_or_bent(size: tuple[int, int]) -> None:
    """A rendition is never larger than its photo, and keeps its proportions to the pixel."""
    for name, one in named(render(written(Image.new("RGB", size, RED)), PLAIN)).items():
        if name.startswith("front"):
            factor = max(1, max(size) / {"thumb": 320, "feed": 1080, "full": 2000}[name.removeprefix("front-")])
            assert (one.width, one.height) == tuple(max(1, round(side / factor)) for side in size)
            assert np.abs(np.asarray(shown(one), int) - RED).max() < 6


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_shows_its_first_frame(kind: str) -> None:
    """Whatever a phone sends, the renditions show the picture in its colours."""
    assert corners(front_of(FORMATS[kind](quarters()))) == [RED, GREEN, BLUE, GREY]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF"])
@pytest.mark.parametrize("orientation", STORED)
def test_every_orientation_is_turned_upright(orientation: int, kind: str) -> None:
    """All eight EXIF orientations, in every format that has them, end upright with the sides exchanged where due."""
    turn, exif = STORED[orientation], Image.Exif()
    exif[0x0112] = orientation
    image = quarters() if turn is None else quarters().transpose(turn)

    upright = front_of(written(image, kind, exif=exif.tobytes()))

    assert upright.size == (120, 160)
    assert corners(upright) == [RED, GREEN, BLUE, GREY]


def test_broken_exif_is_no_reason_to_refuse() -> None:
    """EXIF that nobody can read counts as none."""
    for exif in (b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x08\0\x05garbage", b"Exif\0\0II*\0\xff\xff\xff\xff"):
        assert corners(front_of(written(quarters(), exif=exif))) == [RED, GREEN, BLUE, GREY]


def test_the_orientation_is_applied_before_the_composite() -> None:
    """The composite is the upright back with the upright front inset at its top left."""
    exif = Image.Exif()
    exif[0x0112] = 6
    front = written(quarters(300, 400).transpose(Image.Transpose.ROTATE_90), exif=exif)

    image = shown(named(render(front, written(Image.new("RGB", (600, 800), (250, 240, 0)))))["composite"])
    inset = image.crop((25, 25, 25 + 180, 25 + 240))

    assert image.size == (600, 800)
    assert corners(inset) == [RED, GREEN, BLUE, GREY]
    assert np.abs(np.asarray(image.crop((250, 300, 600, 800)), int) - (250, 240, 0)).max() < 8


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF"])
def test_no_metadata_survives(kind: str) -> None:
    """EXIF with GPS, XMP, ICC profile, comment and text: none of their bytes is in any rendition."""
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    exif.get_ifd(0x8825)[29] = SECRET.decode()
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", SECRET.decode())
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    options = {"comment": SECRET} if kind == "JPEG" else {"pnginfo": text} if kind == "PNG" else {}
    photo = written(quarters(), kind, exif=exif, xmp=b"<x:xmpmeta>" + SECRET, icc_profile=profile, **options) + SECRET
    assert photo.count(SECRET) >= 2

    for one in render(photo, photo).images:
        for trace in (b"secret", b"Exif", b"xmpmeta", b"ns.adobe.com", b"ICC_PROFILE", b"Photoshop", b"GPS"):
            assert trace not in one.data
        image = Image.open(io.BytesIO(one.data))
        assert isinstance(image, JpegImagePlugin.JpegImageFile)
        assert [marker for marker, _ in image.applist] == ["APP0"]  # JFIF, 16 bytes
        assert one.data.endswith(b"\xff\xd9")


def segments(jpeg: bytes) -> list[int]:
    """The markers up to the first scan, read byte by byte (T.81, B.1.1)."""
    found, at = [], 2
    while not found or found[-1] != 0xDA:
        assert jpeg[at] == 0xFF
        found.append(jpeg[at + 1])
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return found


@pytest.mark.parametrize("marker", [*range(0xE0, 0xF0), 0xFE])
def test_no_segment_of_a_photo_survives(marker: int) -> None:
    """IPTC, a maker's own, a comment: of any application segment nothing is left, nor a segment to hold it."""
    hidden = b"Photoshop 3.0\08BIM\x04\x04\0\0\0\0\0\x12" + SECRET
    segment = bytes([0xFF, marker]) + (len(hidden) + 2).to_bytes(2, "big") + hidden
    photo = PLAIN[:20] + segment + PLAIN[20:]  # behind SOI and JFIF
    assert SECRET in photo

    for one in render(photo, photo).images:
        assert segments(one.data) == [0xE0, 0xDB, 0xDB, 0xC0, 0xC4, 0xC4, 0xC4, 0xC4, 0xDA]
        assert SECRET not in one.data
        assert one.data.find(b"\xff\xd9") == len(one.data) - 2  # one picture, and nothing behind it


def test_the_same_pair_gives_the_same_bytes() -> None:
    """In any process, whatever its hash seed and however often, so a job may run twice."""
    front, back = noisy(640, 480), written(quarters(), "HEIF")
    made = render(front, back)
    script = (
        "import sys, hashlib, msgspec; from processors.render.images import render;"
        f"pair = sys.stdin.buffer.read(); made = render(pair[:{len(front)}], pair[{len(front)}:]);"
        "print(hashlib.sha256(msgspec.msgpack.encode(made)).hexdigest())"
    )

    assert render(front, back) == made
    for seed in ("1", "2"):
        command = ["env", f"PYTHONHASHSEED={seed}", sys.executable, "-c", script]
        done = subprocess.run(command, cwd=ROOT, input=front + back, capture_output=True, check=True)
        assert done.stdout.decode().strip() == hashlib.sha256(msgspec.msgpack.encode(made)).hexdigest()


def test_the_thumbhash_is_one_and_each_sides_own() -> None:
    """The hash decodes to the photo's mean colour and proportions."""
    hashes = render(written(Image.new("RGB", (600, 800), RED)), written(Image.new("RGB", (800, 600), BLUE))).thumbhash

    assert sorted(hashes) == ["back", "front"]
    for side, colour, aspect in (("front", RED, 5 / 7), ("back", BLUE, 7 / 5)):
        raw = list(base64.b64decode(hashes[side], validate=True))
        mean = thumbhash.thumb_hash_to_average_rgba(raw)
        assert np.abs(np.array(mean[:3]) * 255 - colour).max() < 12
        assert thumbhash.thumb_hash_to_approximate_aspect_ratio(raw) == aspect


@pytest.mark.parametrize("kind", sorted(set(FORMATS) - {"mpo", "apng"}))
def test_a_truncated_photo_is_refused(kind: str) -> None:
    """A photo of which only a part arrived is refused wherever it was cut, never shown half grey."""
    whole = FORMATS[kind](Image.open(io.BytesIO(noisy(160, 120))))
    for part in (0.3, 0.5, 0.9):
        assert refusal(whole[: int(len(whole) * part)]) == "front photo: cut off: its end is missing"


def test_the_reason_names_the_side_and_the_fault() -> None:
    """A person reads which photo it was and what is wrong with it."""
    with pytest.raises(Undecodable, match=r"^back photo: cut off: its end is missing$"):
        render(PLAIN, PLAIN[:-200])


def test_mutilated_photos_are_rendered_or_refused() -> None:
    """Whatever bytes are changed, the outcome is renditions or a reason, never another exception."""
    rng = random.Random(20260131)
    photos = [make(quarters()) for make in FORMATS.values()]
    for _ in range(300):
        photo = bytearray(rng.choice(photos))
        for _ in range(rng.choice((1, 4, 16))):
            photo[rng.randrange(min(len(photo), rng.choice((300, 10**6))))] = rng.randrange(256)
        with contextlib.suppress(Undecodable):
            assert len(render(bytes(photo), PLAIN).images) == 7
