"""A pair of photos in, every rendition out: CPU only, bytes to bytes, the same input giving the same bytes.

Each photo is decoded once and reduced large to small (`full` → `feed` → `thumb`), never enlarged. Renditions are
encoded from bare pixels, so no byte of the photo's metadata can survive. What a photo may be is decided in `decoding`;
not known here: posts, stores, queues, deadlines.

The options are measured (one core, 1500x2000 and 12 MP JPEG, SSIM against Lanczos; `make bench-images` measures again):
- `draft` (libjpeg reduces while it decodes) halves what a 12 MP photo costs, for 0.001 of SSIM after encoding.
- `optimize` is 7.5 → 17 ms for 1 % fewer bytes, `progressive` 40 ms for 4 %, 4:4:4 12 ms for 22 % more bytes.
- Quality costs no time; 80 is SSIM 0.991 at 462 KB where 85 is 0.995 at 502 KB and 75 is 0.987 at 429 KB.
- Lanczos in every step: see `resampling`. To stay in YCbCr, with half the chroma to resample, does not pay: Pillow
  decodes and encodes it 5 ms slower than RGB and takes 1.5 ms to split it, more than the resampling costs.
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

# Long sides in pixels, large to small; the order is the chain.
SIZES: Final = {"full": 2000, "feed": 1080, "thumb": 320}
JPEG_QUALITY: Final = 80
# The hash keeps at most 7 waves a side, so 24 pixels are plenty; 1.6 ms in pure Python where 100 pixels are 24 ms.
THUMBHASH_SIDE: Final = 24


class Rendition(msgspec.Struct, frozen=True, kw_only=True):
    """One derived image: a baseline sRGB JPEG without metadata, and its size in pixels."""

    name: str
    data: bytes
    width: int
    height: int


class Renditions(msgspec.Struct, frozen=True, kw_only=True):
    """All of a pair: `front-thumb` to `back-full` and `composite`; the ThumbHash (base64) of `front` and of `back`."""

    images: tuple[Rendition, ...]
    thumbhash: dict[str, str]


def render(front: bytes, back: bytes, *, limits: Limits = DECODABLE, full: bool = True) -> Renditions:
    """Every rendition of a pair, or all but `full`; `Undecodable` for the first photo that is none.

    MemoryError where we lack memory.

    Pillow's warnings are switched off while it decodes: they tell of broken EXIF, which is ignored, and of sizes that
    our stricter limits refuse. Python keeps warning filters per process, so one render at a time in a process, and
    what other threads would warn of meanwhile is lost.
    """
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
    """The photo in each of `SIZES`, every size reduced from the one before; Undecodable names the side."""
    try:
        image = decoded(photo, SIZES["full"], limits)
    except Undecodable as error:
        raise Undecodable(f"{side} photo: {error.reason}") from error
    chain = {}
    for size, long_side in SIZES.items():
        image = chain[size] = shrunk(image, long_side)
    return chain


def encoded(name: str, image: Image.Image) -> Rendition:
    """The image as the JPEG that the head of this file argues for."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling="4:2:0", optimize=False, progressive=False)
    return Rendition(name=name, data=buffer.getvalue(), width=image.width, height=image.height)


def _thumbhash(image: Image.Image) -> str:
    """The image's ThumbHash (evanw.github.io/thumbhash), base64."""
    tiny = image.resize(fitted(image.size, THUMBHASH_SIDE), Image.Resampling.BOX).convert("RGBA")
    return base64.b64encode(bytes(thumbhash.rgba_to_thumb_hash(tiny.width, tiny.height, tiny.tobytes()))).decode()
