"""Real JPEGs of any wanted size: a small gallery rendered once from a seed, then made unique and exact per row.

Base pictures compress like real photos: they have smooth light, edges, texture of several octaves and a little sensor
noise. A size below the smallest base gives the smallest base at its own size.
"""

import hashlib
import io
import random
from typing import Final, Literal, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

# Portrait 3:4 as BeReal-like apps send; each entry is (width, quality), from few to many bytes.
STEPS: Final = ((720, 42), (720, 62), (840, 66), (960, 70), (1080, 74), (1200, 80), (1350, 84), (1500, 88), (1500, 94))
SMALLEST: Final = (480, 34)  # of its own seed: a step more must not change the others
COMMENT_BYTES_MAX: Final = 65_533  # the segment's two length bytes count themselves
COMMENT_BYTES_MIN: Final = 16  # of content: enough to be unique
HEAD_BYTES: Final = 4  # marker and length of a segment
FIRST_MOMENT: Final = "2026:01:15 12:00:00"


Side = Literal["front", "back"]


class Content(Protocol):
    """The method of `random.Random` that fills comments."""

    def randbytes(self, n: int, /) -> bytes:
        """Return n bytes, other ones at each call."""
        ...


class Marked:
    """Content that costs a copy: a mark, then the same block every time."""

    def __init__(self, mark: bytes, block: bytes) -> None:
        self._mark, self._block = mark, block

    def randbytes(self, n: int, /) -> bytes:
        """The mark and the start of the block."""
        return (self._mark + self._block[: max(0, n - len(self._mark))])[:n]


class Picture(msgspec.Struct, frozen=True):
    """One base JPEG and the offset at which comment segments are inserted."""

    jpeg: bytes
    cut: int


class Gallery:
    """Base pictures, separate for front and back; `photo` is cheap and a pure function of arguments and seed."""

    def __init__(self, seed: int, bytes_max: int = 10_000_000) -> None:
        """Render the steps that photos up to `bytes_max` need (a few seconds of CPU for all steps)."""
        # All rows share the same random bytes, so that a photo costs little more than its copy.
        self._seed, self._block = seed, random.Random(seed).randbytes(COMMENT_BYTES_MAX)
        rng = np.random.default_rng(seed)
        self._albums: dict[Side, list[Picture]] = {"front": [], "back": []}
        small = np.random.default_rng((seed, *SMALLEST))
        for album in self._albums.values():
            jpeg = render(small, *SMALLEST, sideways=False)
            album.append(Picture(jpeg, comment_offset(jpeg)))
            for step, (width, quality) in enumerate(STEPS):
                jpeg = render(rng, width, quality, sideways=step % 3 == 1)
                album.append(Picture(jpeg, comment_offset(jpeg)))
                if len(jpeg) > bytes_max:
                    break

    @property
    def smallest_bytes(self) -> int:
        """The smallest size that `photo` meets exactly."""
        smallest = max(min(len(picture.jpeg) for picture in album) for album in self._albums.values())
        return smallest + HEAD_BYTES + COMMENT_BYTES_MIN

    def photo(self, key: str, side: Side, size: int) -> bytes:
        """A JPEG of exactly `size` bytes (at least `smallest_bytes`), unique to this key and side."""
        size = max(size, self.smallest_bytes)
        room = size - HEAD_BYTES - COMMENT_BYTES_MIN
        # The largest base that fits, filled to the exact size with JPEG comment segments (T.81 B.2.4.5): decoders skip
        # these.
        picture = max((p for p in self._albums[side] if len(p.jpeg) <= room), key=lambda p: len(p.jpeg))
        # At the begin of the comments, so that the digests of any two photos differ.
        mark = hashlib.blake2b(f"{self._seed}:{key}:{side}".encode(), digest_size=COMMENT_BYTES_MIN).digest()
        comments = fill(Marked(mark, self._block), size - len(picture.jpeg))
        return b"".join((picture.jpeg[: picture.cut], comments, picture.jpeg[picture.cut :]))


def fill(rng: Content, size: int) -> bytes:
    """Comment segments of exactly `size` bytes in total; `size` ≥ 20."""
    parts = []
    while size:
        content = min(size - HEAD_BYTES, COMMENT_BYTES_MAX)
        if 0 < size - HEAD_BYTES - content < HEAD_BYTES:
            content -= HEAD_BYTES  # leave room for the last segment's head
        parts.append(b"\xff\xfe" + (content + 2).to_bytes(2, "big") + rng.randbytes(content))
        size -= HEAD_BYTES + content
    return b"".join(parts)


def comment_offset(jpeg: bytes) -> int:
    """The offset where the last APPn segment ends: comments go after JFIF and EXIF."""
    at = 2
    while jpeg[at] == 0xFF and 0xE0 <= jpeg[at + 1] <= 0xEF:
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return at


def render(rng: np.random.Generator, width: int, quality: int, *, sideways: bool) -> bytes:
    """One picture as a phone would save it; `sideways` stores it rotated, with the correcting EXIF orientation."""
    image = scene(rng, width, width * 4 // 3)
    if sideways:
        image = image.transpose(Image.Transpose.ROTATE_90)  # EXIF 6: to be shown turned by 90° clockwise
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, exif=exif(rng, 6 if sideways else 1))
    return buffer.getvalue()


def exif(rng: np.random.Generator, orientation: int) -> Image.Exif:
    """EXIF with maker, model, orientation, time and GPS coordinates in the open sea."""
    tags = Image.Exif()
    tags[0x010F], tags[0x0110], tags[0x0112], tags[0x0132] = "Snapsurge", "Bench 1", orientation, FIRST_MOMENT
    # GPS, so that a check can verify its removal.
    place = tags.get_ifd(0x8825)
    place[1], place[3] = "N", "W"
    place[2] = (int(rng.integers(30, 50)), int(rng.integers(60)), float(rng.integers(6000)) / 100)
    place[4] = (int(rng.integers(30, 40)), int(rng.integers(60)), float(rng.integers(6000)) / 100)
    return tags


def scene(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """A drawn scene: sky over ground, blocks with edges, out-of-focus lights and a disc, with texture and noise."""
    top, bottom = np.array(_colour(rng, 130, 220)), np.array(_colour(rng, 50, 130))
    slope = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    light = np.broadcast_to(top * (1 - slope) + bottom * slope, (height, width, 3))
    image = Image.fromarray(light.astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(14):
        left, wide = rng.uniform(-0.1, 1) * width, rng.uniform(0.05, 0.3) * width
        roof = rng.uniform(0.25, 0.8) * height
        draw.rectangle((left, roof, left + wide, height), fill=_colour(rng, 40, 190))
        for floor in np.arange(roof + 12, height, height / 40):
            draw.line((left, floor, left + wide, floor), fill=_colour(rng, 40, 220), width=max(1, width // 400))
    for _ in range(24):
        _disc(draw, rng.uniform(0, 1) * width, rng.uniform(0, 0.6) * height, rng.uniform(0.01, 0.06) * width, rng)
    image = image.filter(ImageFilter.GaussianBlur(width / 400))
    draw = ImageDraw.Draw(image)
    middle = rng.uniform(0.35, 0.65) * width
    _disc(draw, middle, height * 1.02, 0.42 * width, rng)
    _disc(draw, middle, height * 0.62, 0.19 * width, rng)
    image = image.filter(ImageFilter.GaussianBlur(width / 900))
    shade = np.asarray(image, dtype=np.float32) * (1 + 0.16 * texture(rng, width, height))[:, :, None]
    shade += rng.normal(0, 2.2, (height, width, 1)).astype(np.float32)
    return Image.fromarray(np.clip(shade, 0, 255).astype(np.uint8))


def texture(rng: np.random.Generator, width: int, height: int) -> NDArray[np.float32]:
    """Band-limited noise around 0: octaves from coarse to fine, each twice as fine as the one before and weaker."""
    total = np.zeros((height, width), dtype=np.float32)
    cells, weight = 6, 1.0
    while cells < width // 3:
        coarse = Image.fromarray(rng.normal(0, 1, (cells * 4 // 3, cells)).astype(np.float32))
        total += weight * np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32)
        cells, weight = cells * 2, weight * 0.62
    return total


def _colour(rng: np.random.Generator, low: int, high: int) -> tuple[int, int, int]:
    red, green, blue = (rng.integers(low, high) + rng.integers(-35, 35, 3)).clip(0, 255).tolist()
    return red, green, blue


def _disc(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, rng: np.random.Generator) -> None:
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_colour(rng, 90, 250))
