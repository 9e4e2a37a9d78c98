"""Decodes a photo into upright 8-bit sRGB pixels, no larger than asked for and without metadata.

Photos are hostile input. Any fault of a photo raises `Undecodable` with a reason for its user; a fault of ours never
does. The judge that nodes ask too (storage/photo/judge.py) decides by the header, before anything is decoded. This file
does not know renditions, posts or budgets (`renderer.py`).
"""

from typing import Final

from PIL import Image

from storage.photo import heif, png
from storage.photo.formats import DECODABLE, NAMES, Limits
from storage.photo.judge import PHOTO_ERRORS, Judged, Refused, judged

from ..memory import ensure
from .colour import flattened, to_srgb
from .resampling import fitted, shrunk
from .tiles import has_broken_tile

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
_DAMAGED: Final = "corrupt or incomplete {}"


class Undecodable(Exception):
    """The photo cannot be rendered and never will be; `reason` is written for the person who took it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def decoded(photo: bytes, long_side: int, limits: Limits = DECODABLE) -> Image.Image:
    """The photo upright in sRGB, without metadata, its long side at most `long_side` pixels; Undecodable, MemoryError.

    MemoryError: the process cannot allocate `decode_bytes_max`. A photo that needs more than that is Undecodable.
    """
    # Before the header is read, because libwebp allocates half of its memory then, and because decoders report a lack
    # of memory as a corrupt file.
    ensure(limits.decode_bytes_max)
    try:
        accepted = judged(memoryview(photo), limits)
    except Refused as error:
        raise Undecodable(str(error)) from error
    image = _loaded(accepted, long_side, limits)
    (profile, code_points), orientation = _colours(accepted, image), _orientation(accepted, image)
    # Rotation and colour conversion follow the reduction: they cost less on fewer pixels, with the same result.
    image = shrunk(flattened(image), long_side)
    if orientation in UPRIGHT:
        image = image.transpose(UPRIGHT[orientation])
    image = to_srgb(image, profile, code_points)
    image.info = {}  # Otherwise Pillow would write a comment of the photo into the rendition.
    return image


def _loaded(photo: Judged, long_side: int, limits: Limits) -> Image.Image:
    """The photo's pixels as stored, decoded at the smallest sufficient size that the decoder offers."""
    try:
        image = photo.opened()
        image.draft(None, fitted(image.size, long_side))
        image.load()
    except PHOTO_ERRORS as error:
        raise Undecodable(_fault(photo, error)) from error
    except MemoryError as error:
        raise Undecodable(f"a {NAMES[photo.format]} that needs more memory than its size explains") from error
    if image.width * image.height > limits.most(photo.format):  # libheif may decode another size than the header's.
        raise Undecodable(f"more than {limits.most(photo.format) / 1e6:.1f} megapixels")
    grid = photo.head.grid if photo.format == "heif" and isinstance(photo.head, heif.Contents) else None
    if grid is not None and has_broken_tile(photo.data, grid, image):
        raise Undecodable(_DAMAGED.format(NAMES[photo.format]))
    return image


def _fault(photo: Judged, error: Exception) -> str:
    """The reason for the user, from the format and its decoder's error."""
    cut_off = isinstance(error, EOFError) or "truncated" in str(error).lower()
    return ("truncated {}" if cut_off else _DAMAGED).format(NAMES[photo.format])


def _colours(photo: Judged, image: Image.Image) -> tuple[bytes | None, tuple[int, int] | None]:
    """The embedded colour profile, and the code points that count where there is none."""
    if isinstance(photo.head, png.Head):
        code_points = png.code_points(photo.data, photo.head)
        # PNG, section 4.3: cICP is preferred to a profile. Other formats prefer the profile.
        return None if code_points else png.profile(photo.data, photo.head), code_points
    return image.info.get("icc_profile"), photo.head.code_points if isinstance(photo.head, heif.Contents) else None


def _orientation(photo: Judged, image: Image.Image) -> object:
    """The EXIF orientation; upright when the EXIF data is broken. An orientation in XMP alone does not count.

    In HEIC and AVIF the container decides if it says anything (`irot`, `imir`), else EXIF does: some phones write only
    that. libheif has already turned a HEIC by its container; Pillow reports the container's orientation of an AVIF.
    """
    exif = image.info.get("exif", b"")
    if isinstance(photo.head, heif.Contents):
        if photo.head.turned and photo.format == "heif":
            return 1
        exif = exif if photo.head.turned else photo.head.exif
    try:
        found = Image.Exif()
        found.load(exif)
        return found.get(ORIENTATION_TAG, 1)
    except PHOTO_ERRORS:
        return 1
