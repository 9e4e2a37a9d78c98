"""Photos of every format made from recipes, from ordinary to extreme: the candidates in the search for the costliest.

A recipe has a value for each ingredient of its format; `CHOICES` has all values. `made` is a pure function of a recipe.
"""

import io
import struct
import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, cast

import numpy as np
from PIL import Image, ImageFile

from . import boxes

Recipe = Mapping[str, Any]
# Nodes accept no larger photo.
BYTES_MAX: Final = 16 << 20
SOS: Final = b"\xff\xda"
# Sizes that decoders can reduce most or least while they decode, sizes up to 50 MP, and a panorama.
SIZES: Final = ((640, 640), (2000, 2000), (3999, 3999), (7071, 7071), (12_000, 4166))
CONTENTS: Final = ("flat", "noise", "stripes")
CHOICES: Final[dict[str, dict[str, tuple[Any, ...]]]] = {
    "jpeg": {
        "size": (*SIZES, (15_999, 12_500)),
        "content": CONTENTS,
        "mode": ("RGB", "L", "CMYK"),
        "quality": (30, 5, 75),
        "subsampling": (0, 2),
        "progressive": (False, True),
        "scans": (0, 2, 40, 3000),
        "cut": (0, 1, 4),
        "frame": ("huffman", "arithmetic", "lossless"),
        "restarts": (0, 1),
        "turned": (1, 5, 6),
        "segments": (0, 3000, 400_000),
    },
    "png": {
        "size": SIZES,
        "content": CONTENTS,
        "bits": (8, 16, 1),
        "colour": (2, 6, 0, 3, 4),
        "filter": (0, 1, 2, 3, 4),
        "interlaced": (0, 1),
        "chunks": (0, 3000, 400_000),
    },
    "webp": {
        "size": ((640, 640), (2000, 2000), (3999, 3999), (6240, 6240), (12_000, 3240)),
        "content": CONTENTS,
        "lossless": (False, True),
        "quality": (30, 0, 75),
        "alpha": (False, True),
        "frames": (1, 30),
    },
    "avif": {
        "size": ((640, 640), (2000, 2000), (6240, 6240), (12_000, 3240)),
        "content": CONTENTS,
        "quality": (30, 5, 75, 90),
        "subsampling": ("4:2:0", "4:4:4"),
        "alpha": (False, True),
        "frames": (1, 10),
    },
    "heif": {
        "side": (512, 64, 1024),
        "columns": (4, 1, 7, 13, 30),
        "content": CONTENTS,
        "quality": (50, 10, 90),
        "chroma": (420, 444),
        "shared": (0, 1),
        "turns": (0, 1, 60),
        "copies": (0, 1, 60),
    },
}
# The results of earlier searches, and recipes that were refused during them: a search starts from these.
STARTS: Final[dict[str, tuple[dict[str, Any], ...]]] = {
    "jpeg": (
        {"size": (15_999, 12_500), "content": "stripes"},
        {"size": (7071, 7071), "progressive": True},
        {"size": (7071, 7071), "progressive": True, "scans": 2},
        {"size": (7071, 7071), "progressive": True, "scans": 40},
        {"size": (3999, 3999), "progressive": True, "scans": 40, "cut": 4},
        {"size": (7071, 7071), "progressive": True, "mode": "CMYK", "subsampling": 2},
        {"progressive": True, "frame": "arithmetic"},
        {"segments": 400_000},
        {"frame": "lossless"},
    ),
    "png": (
        {"size": (7071, 7071), "colour": 6, "filter": 4},
        {"size": (3999, 3999), "colour": 6, "bits": 16, "filter": 4},
        {"size": (7071, 7071), "colour": 6, "bits": 16, "filter": 4},
        {"size": (7071, 7071), "colour": 3, "bits": 1},
        {"chunks": 400_000},
    ),
    "webp": (
        {"size": (6240, 6240)},
        {"size": (6240, 6240), "content": "noise", "quality": 0},
        {"size": (6240, 6240), "alpha": True},
        {"size": (6240, 6240), "lossless": True},
    ),
    "avif": (
        {"size": (6240, 6240)},
        {"size": (6240, 6240), "content": "stripes", "alpha": True},
        {"size": (6240, 6240), "content": "stripes", "quality": 75},
        {"size": (2000, 2000), "content": "noise", "quality": 90, "subsampling": "4:4:4"},
    ),
    "heif": (
        {"columns": 13},
        {"columns": 13, "shared": 1, "quality": 90},
        {"columns": 13, "turns": 60},
        {"columns": 13, "turns": 1},
        {"columns": 7, "side": 1024, "turns": 1},
        {"columns": 4, "content": "noise", "quality": 90},
        {"columns": 4, "copies": 60},
    ),
}


def made(kind: str, recipe: Recipe) -> bytes | None:
    """The photo; None when the ingredients are incompatible or the photo is larger than allowed."""
    maker = {"jpeg": jpeg, "png": png, "webp": webp, "heif": heif, "avif": avif}[kind]
    photo = maker(recipe)
    return photo if photo and len(photo) <= BYTES_MAX else None


# The same picture serves recipe after recipe; at 50 MP more of them would not fit the memory.
@lru_cache(maxsize=2)
def pixels(size: tuple[int, int], content: str, mode: str) -> Image.Image:
    """A picture that is blank, or shows noise or stripes one pixel wide."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    shape = (size[1], size[0], bands)
    if content == "noise":
        array = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    else:
        array = np.full(shape, 90, dtype=np.uint8)
        array[:, :: 2 if content == "stripes" else size[0]] = 200
    return Image.frombytes(mode, size, array.tobytes())


def jpeg(recipe: Recipe) -> bytes | None:
    """A JPEG encoded by Pillow, then modified: more or fewer scans, another frame header, more segments."""
    if recipe["size"][0] > 12_000 and (recipe["content"] == "noise" or recipe["progressive"]):
        return None  # slow to encode, or refused
    exif, out = Image.Exif(), io.BytesIO()
    exif[0x0112] = recipe["turned"]
    image = pixels(recipe["size"], recipe["content"], recipe["mode"])
    options = {"quality": recipe["quality"], "subsampling": recipe["subsampling"], "exif": exif}
    before, ImageFile.MAXBLOCK = ImageFile.MAXBLOCK, 64 << 20  # Pillow's default buffer is too small for noise
    try:
        image.save(out, "JPEG", progressive=recipe["progressive"], restart_marker_rows=recipe["restarts"], **options)
    finally:
        ImageFile.MAXBLOCK = before
    data = bytes(out.getvalue()[:-2])
    # A progressive file that ends early makes a decoder do the work of the whole picture for fewer bytes.
    if recipe["cut"]:
        data = SOS.join(data.split(SOS)[: recipe["cut"] + 1])
    last = data[data.rfind(SOS) :]
    # A long scan would soon fill the file: of it only the header is repeated.
    again = last if len(last) < 2000 else last[: 2 + int.from_bytes(last[2:4], "big")]
    data += again * int(recipe["scans"])
    marker = {"huffman": 0, "arithmetic": 0xCA if recipe["progressive"] else 0xC9, "lossless": 0xC3}[recipe["frame"]]
    if marker:
        data = data.replace(b"\xff\xc2" if recipe["progressive"] else b"\xff\xc0", bytes((0xFF, marker)), 1)
    data = data[:2] + b"\xff\xfe\0\2" * int(recipe["segments"]) + data[2:]
    return data[: BYTES_MAX - 2] + b"\xff\xd9"


def png(recipe: Recipe) -> bytes | None:
    """A PNG written chunk by chunk: any depth and colour type, one filter for all rows, any number of empty chunks."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[recipe["colour"]]
    bits: int = recipe["bits"]
    width, height = cast("tuple[int, int]", recipe["size"])
    if (bits == 1 and recipe["colour"] not in {0, 3}) or (bits == 16 and recipe["colour"] == 3):
        return None
    row_bytes = (width * channels * bits + 7) // 8
    noise = np.random.default_rng(1).bytes(row_bytes)
    row = {"flat": bytes(row_bytes), "noise": noise, "stripes": b"\0\xff" * (row_bytes // 2 + 1)}[recipe["content"]]
    packer = zlib.compressobj(1 if recipe["content"] == "noise" else 9)
    rows = height + (64 if recipe["interlaced"] else 0)  # Adam7's seven passes have more filter bytes
    packed = b"".join(packer.compress(bytes((recipe["filter"],)) + row[:row_bytes]) for _ in range(rows))
    header = struct.pack(">IIBBBBB", width, height, bits, recipe["colour"], 0, 0, recipe["interlaced"])
    palette = chunk(b"PLTE", bytes(range(256)) * 3) if recipe["colour"] == 3 and bits == 8 else b""
    palette = palette or (chunk(b"PLTE", bytes(6)) if recipe["colour"] == 3 else b"")
    more = chunk(b"tIME", bytes(7)) * int(recipe["chunks"])
    pixels_ = chunk(b"IDAT", packed + packer.flush())
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette + more + pixels_ + chunk(b"IEND", b"")


def chunk(name: bytes, data: bytes) -> bytes:
    """One PNG chunk with its length and CRC."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def webp(recipe: Recipe) -> bytes | None:
    """A WebP encoded by libwebp at its fastest method; an animation repeats the picture."""
    frames: dict[str, Any] = {}
    if recipe["lossless"] and recipe["content"] == "noise" and recipe["size"][0] > 2000:
        return None  # larger than allowed, and encoding takes half a minute
    image = pixels(recipe["size"], recipe["content"], "RGBA" if recipe["alpha"] else "RGB")
    out = io.BytesIO()
    if recipe["frames"] > 1:
        frames = {"save_all": True, "append_images": [image.rotate(180)] * recipe["frames"]}
    if frames and recipe["size"][0] > 2000:
        return None
    image.save(out, "WEBP", lossless=recipe["lossless"], quality=recipe["quality"], method=0, **frames)
    return bytes(out.getvalue())


def avif(recipe: Recipe) -> bytes | None:
    """An AVIF encoded by libaom at its fastest speed; an animation repeats the picture."""
    if recipe["content"] == "noise" and recipe["size"][0] > 2000:
        return None  # slow to encode
    if recipe["frames"] > 1 and recipe["size"][0] > 640:
        return None
    image = pixels(recipe["size"], recipe["content"], "RGBA" if recipe["alpha"] else "RGB")
    frames: dict[str, Any] = {"save_all": True, "append_images": [image] * (recipe["frames"] - 1)}
    options = {"quality": recipe["quality"], "subsampling": recipe["subsampling"], "speed": 10, "max_threads": 1}
    out = io.BytesIO()
    image.save(out, "AVIF", **options, **(frames if recipe["frames"] > 1 else {}))
    return bytes(out.getvalue())


def heif(recipe: Recipe) -> bytes | None:
    """A HEIF of one tile encoded by libheif, in a structure that `boxes` makes."""
    side, columns = recipe["side"], recipe["columns"]
    if (side * columns) ** 2 > 50_000_000 or (side == 1024 and recipe["content"] == "noise"):  # slow to encode
        return None
    tile = _tile(side, recipe["content"], recipe["quality"], recipe["chroma"])
    oddities = {name: recipe[name] for name in ("shared", "turns", "copies")}
    if not recipe["shared"] and len(tile[1]) * columns**2 > BYTES_MAX:
        return None
    return boxes.picture(tile, side, columns, **oddities)


@lru_cache(maxsize=256)
def _tile(side: int, content: str, quality: int, chroma: int) -> tuple[bytes, bytes]:
    return boxes.tile(pixels((side, side), content, "RGB"), quality, chroma)
