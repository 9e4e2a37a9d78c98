"""A photo's bytes in, its pixels out: upright, 8-bit sRGB, at most so large as asked for, and nothing but pixels.

Photos are hostile input: whatever is wrong with one ends as `Undecodable` with a reason a person understands, and a
fault of ours never does. The format is what the magic bytes say, the size what the header says, and both are judged
before anything is decoded; the memory that any photo may take is asked for first, because decoders call a lack of it a
corrupt file. Not known here: renditions, posts, budgets (`renderer.py`).
"""

import io
import struct
import zlib
from typing import Final

from PIL import Image
from pillow_heif import register_heif_opener

from storage.photo import costs
from storage.photo.formats import DECODABLE, NAMES, Limits, format_of
from storage.records import Format

from ..memory import ensure
from .colour import flattened, to_srgb
from .resampling import fitted, shrunk

# The only global state: Pillow learns HEIF at import. One thread, because a worker owns one core; the embedded
# thumbnail is never decoded in place of the photo, because it may show another picture.
register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)
# All plugins now: one that Pillow cannot load later, for want of a descriptor, would make good photos undecodable.
Image.init()

# EXIF 2.32, tag Orientation: how to turn the stored pixels upright.
ORIENTATION_TAG: Final = 0x0112
UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow, its plugins and libheif raise for bytes that are no photo (found by fuzzing). The bytes are in memory, so
# an OSError is no disk; MemoryError is not among them.
PHOTO_ERRORS: Final = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    TypeError,
    RuntimeError,
    struct.error,
    zlib.error,
)


class Undecodable(Exception):
    """The photo cannot be rendered and never will be; `reason` is written for the person who took it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def decoded(photo: bytes, long_side: int, limits: Limits = DECODABLE) -> Image.Image:
    """The photo upright in sRGB, its long side at most so long, carrying nothing but pixels; Undecodable, MemoryError.

    MemoryError says that we lack what a photo may take (`decode_bytes_max`); one that takes more is Undecodable.
    """
    kind = format_of(photo)
    if kind is None:
        raise Undecodable("not a JPEG, PNG, WebP or HEIC image")
    refusal = costs.refusal(kind, memoryview(photo))
    if refusal is not None:
        raise Undecodable(refusal)
    image = _opened(photo, kind, long_side, limits)
    profile = image.info.get("icc_profile")
    orientation = _orientation(image)
    # The dear steps come after the reduction; none of them minds.
    image = shrunk(flattened(image), long_side)
    if orientation in UPRIGHT:
        image = image.transpose(UPRIGHT[orientation])
    image = to_srgb(image, profile)
    image.info = {}  # Pillow would write a comment found here into the rendition
    return image


def _opened(photo: bytes, kind: Format, long_side: int, limits: Limits) -> Image.Image:
    """The photo's pixels as stored, decoded at the smallest size the decoder offers that is enough."""
    ensure(limits.decode_bytes_max)  # all of it, before the header is read: libwebp takes half of what it needs then
    try:
        image = Image.open(io.BytesIO(photo), formats=[kind.upper()])
        _check(kind, image.size, limits)  # before `draft`, which rewrites the size
    except Image.DecompressionBombError as error:  # beyond 179 MP Pillow refuses by itself
        raise Undecodable(f"more than {limits.most(kind) / 1e6:.1f} megapixels") from error
    except PHOTO_ERRORS as error:
        raise Undecodable(_fault(kind, error)) from error
    try:
        image.draft(None, fitted(image.size, long_side))
        image.load()
    except PHOTO_ERRORS as error:
        raise Undecodable(_fault(kind, error)) from error
    except MemoryError as error:
        raise Undecodable(f"a {NAMES[kind]} that needs more memory than its size explains") from error
    if image.width * image.height > limits.most(kind):  # libheif may find another size than the header's
        raise Undecodable(f"more than {limits.most(kind) / 1e6:.1f} megapixels")
    return image


def _fault(kind: Format, error: Exception) -> str:
    """What is wrong with a photo of this kind, in words, by what its decoder raised."""
    cut_off = isinstance(error, EOFError) or "truncated" in str(error).lower()
    return f"{'truncated' if cut_off else 'corrupt or incomplete'} {NAMES[kind]}"


def _check(kind: Format, size: tuple[int, int], limits: Limits) -> None:
    """Undecodable when a photo of this format and size is not accepted."""
    fault = limits.fault(kind, *size)
    if fault is not None:
        raise Undecodable(fault)


def _orientation(image: Image.Image) -> object:
    """The EXIF orientation; of broken EXIF, the upright one.

    HEIF turns by its container alone, EXIF there only informs: libheif has turned, and pillow_heif reports upright.
    """
    try:
        return image.getexif().get(ORIENTATION_TAG, 1)
    except PHOTO_ERRORS:
        return 1
