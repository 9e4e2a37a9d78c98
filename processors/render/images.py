"""Renders a pair of photos into all renditions. CPU only; the same input gives the same bytes.

`decoding` decides which photos are accepted. This file does not know posts, stores, queues or deadlines.
"""

import base64
import io
import warnings
from typing import Final

import msgspec
import thumbhash
from PIL import Image

from storage.photo.formats import DECODABLE, Limits

from .composite import composite
from .decoding import Undecodable, decoded
from .resampling import fitted, shrunk

# Long sides in pixels, from large to small: each size is reduced from the one before.
SIZES: Final = {"full": 2000, "feed": 1080, "thumb": 320}
JPEG_QUALITY: Final = 80
# The hash keeps at most 7 waves a side, so 24 pixels are enough: 1.6 ms in pure Python, while 100 pixels take 24 ms.
THUMBHASH_SIDE: Final = 24


class Rendition(msgspec.Struct, frozen=True, kw_only=True):
    """One derived image: a baseline sRGB JPEG without metadata, and its size in pixels."""

    name: str
    data: bytes
    width: int
    height: int


class Renditions(msgspec.Struct, frozen=True, kw_only=True):
    """All renditions of a pair (`front-thumb` to `back-full`, `composite`), and both ThumbHashes in base64 by side."""

    images: tuple[Rendition, ...]
    thumbhash: dict[str, str]


def render(front: bytes, back: bytes, *, limits: Limits = DECODABLE, full: bool = True) -> Renditions:
    """Every rendition of a pair, or all but `full`; Undecodable for the first bad photo, MemoryError.

    Only one render at a time in a process, because Python's warning filters belong to the process. Warnings of other
    threads are lost meanwhile.
    """
    # Pillow warns of broken EXIF, which is ignored, and of large sizes, which our stricter limits refuse.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pair = {"front": reduced("front", front, limits), "back": reduced("back", back, limits)}
    images = [
        encoded(f"{side}-{size}", image)
        for side, chain in pair.items()
        for size, image in reversed(chain.items())
        if full or size != "full"
    ]
    images.append(encoded("composite", composite(back=pair["back"]["feed"], front=pair["front"]["feed"])))
    hashes = {side: _thumbhash(chain["thumb"]) for side, chain in pair.items()}
    return Renditions(images=tuple(images), thumbhash=hashes)


def reduced(side: str, photo: bytes, limits: Limits = DECODABLE) -> dict[str, Image.Image]:
    """The photo in each of `SIZES`, each size reduced from the one before; Undecodable names the side."""
    try:
        # Once. `draft` (libjpeg reduces while it decodes) halves the cost of a 12 MP photo, for 0.001 of SSIM after
        # encoding.
        image = decoded(photo, SIZES["full"], limits)
    except Undecodable as error:
        raise Undecodable(f"{side} photo: {error.reason}") from error
    chain = {}
    for size, long_side in SIZES.items():
        # From large to small (`full`, `feed`, `thumb`), never enlarged. Every step uses Lanczos, see `resampling`.
        # Staying in YCbCr, with half the chroma to resample, is slower: Pillow decodes and encodes it 5 ms slower than
        # RGB and needs 1.5 ms to split it, more than the resampling costs.
        image = chain[size] = shrunk(image, long_side)
    return chain


def encoded(name: str, image: Image.Image) -> Rendition:
    """Encode the image as a JPEG."""
    buffer = io.BytesIO()
    # From pixels alone, so no metadata of the photo can survive. Measured (one core, 1500x2000 and 12 MP JPEG, SSIM
    # against Lanczos; repeat with `make bench-images`): `optimize` takes 17 ms instead of 7.5 for 1 % fewer bytes,
    # `progressive` 40 ms for 4 % fewer, 4:4:4 12 ms for 22 % more. Quality costs no time: 75 is SSIM 0.987 at 429 KB,
    # 80 is 0.991 at 462 KB, 85 is 0.995 at 502 KB.
    image.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling="4:2:0", optimize=False, progressive=False)
    return Rendition(name=name, data=buffer.getvalue(), width=image.width, height=image.height)


def _thumbhash(image: Image.Image) -> str:
    """The image's ThumbHash (evanw.github.io/thumbhash) in base64."""
    tiny = image.resize(fitted(image.size, THUMBHASH_SIDE), Image.Resampling.BOX).convert("RGBA")
    return base64.b64encode(bytes(thumbhash.rgba_to_thumb_hash(tiny.width, tiny.height, tiny.tobytes()))).decode()
