"""Decodes a photo into upright 8-bit sRGB pixels, no larger than asked for and without metadata.

Photos are hostile input. Any fault of a photo raises `Undecodable` with a reason for its user; a fault of ours never
does. The format comes from the magic bytes and the size from the header, and both are checked before anything is
decoded. This file does not know renditions, posts or budgets (`renderer.py`).
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

# The only global state: this registers HEIF with Pillow. One thread, because a worker owns one core. No thumbnails,
# because an embedded thumbnail may show another picture than the photo.
register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)
# Load all plugins now: a plugin that fails to load later, for lack of a descriptor, would make good photos undecodable.
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
# The errors of Pillow, its plugins and libheif for bytes that are no photo (found by fuzzing). OSError is one of them:
# the bytes are in memory, so no disk is involved. MemoryError is not.
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
    """The photo upright in sRGB, without metadata, its long side at most `long_side` pixels; Undecodable, MemoryError.

    MemoryError: the process cannot allocate `decode_bytes_max`. A photo that needs more than that is Undecodable.
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
    # Rotation and colour conversion follow the reduction: they cost less on fewer pixels, with the same result.
    image = shrunk(flattened(image), long_side)
    if orientation in UPRIGHT:
        image = image.transpose(UPRIGHT[orientation])
    image = to_srgb(image, profile)
    image.info = {}  # Otherwise Pillow would write a comment of the photo into the rendition.
    return image


def _opened(photo: bytes, kind: Format, long_side: int, limits: Limits) -> Image.Image:
    """The photo's pixels as stored, decoded at the smallest sufficient size that the decoder offers."""
    # Before the header is read, because libwebp allocates half of its memory then, and because decoders report a lack
    # of memory as a corrupt file.
    ensure(limits.decode_bytes_max)
    try:
        image = Image.open(io.BytesIO(photo), formats=[kind.upper()])
        _check(kind, image.size, limits)  # Before `draft`, which changes the size.
    except Image.DecompressionBombError as error:  # Pillow itself refuses more than 179 MP.
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
    if image.width * image.height > limits.most(kind):  # libheif may decode another size than the header's.
        raise Undecodable(f"more than {limits.most(kind) / 1e6:.1f} megapixels")
    return image


def _fault(kind: Format, error: Exception) -> str:
    """The reason for the user, from the format and its decoder's error."""
    cut_off = isinstance(error, EOFError) or "truncated" in str(error).lower()
    return f"{'truncated' if cut_off else 'corrupt or incomplete'} {NAMES[kind]}"


def _check(kind: Format, size: tuple[int, int], limits: Limits) -> None:
    """Raise Undecodable when a photo of this format and size is not accepted."""
    fault = limits.fault(kind, *size)
    if fault is not None:
        raise Undecodable(fault)


def _orientation(image: Image.Image) -> object:
    """The EXIF orientation; upright when the EXIF data is broken.

    A HEIF photo's orientation is in its container: libheif has already rotated it, and pillow_heif reports upright.
    """
    try:
        return image.getexif().get(ORIENTATION_TAG, 1)
    except PHOTO_ERRORS:
        return 1
