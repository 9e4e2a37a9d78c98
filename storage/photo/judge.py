"""Which photos are accepted: the one judge, which nodes and workers both ask.

It reads headers and decodes no pixels. A node asks it with the limits of its settings and stores what it accepts. A
worker asks it again, with the limits of its memory, which are never tighter, and decodes `opened` alone. So a worker
rejects no photo that a node has accepted, unless its pixels turn out to be damaged when they are decoded.
"""

import io
import struct
import warnings
import zlib
from typing import Final

import msgspec
from PIL import AvifImagePlugin, Image, TiffImagePlugin, WebPImagePlugin  # noqa: F401 - to be loaded
from pillow_heif import register_heif_opener

from ..records import Format
from . import costs, grids, heif, jpeg, png
from .formats import CUT_OFF, NAMES, Limits, format_of, webp_size

# One thread, because a worker owns one core. No thumbnails, because an embedded thumbnail may show another picture than
# the photo.
register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
# Without this and the imports above, Pillow loads the plugin of a format, or of EXIF, from a file on first use. A
# process that is out of file descriptors at that moment would refuse a good photo, and all later ones of that format.
Image.preinit()
# The judge checks the header's numbers; Pillow's own limit would only warn between its two thresholds.
Image.MAX_IMAGE_PIXELS = None

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
ALL_NAMES: Final = "JPEG, PNG, WebP, HEIC or AVIF image"
_CODINGS: Final[dict[bytes, Format]] = {b"hvc1": "heif", b"hev1": "heif", b"av01": "avif"}


class Refused(Exception):
    """A photo that is not accepted; the text completes "the front photo is …"."""


class NotAPhoto(Refused):
    """The bytes are in none of the accepted formats."""


class Judged(msgspec.Struct, frozen=True):
    """An accepted photo: what its header says, and how to decode it."""

    data: memoryview
    format: Format
    width: int
    height: int
    head: jpeg.Head | png.Head | heif.Contents | None = None

    def opened(self) -> Image.Image:
        """The photo as a Pillow image, not yet decoded; PHOTO_ERRORS."""
        # Only what the judge has read: the picture without trailers, text and other segments. Pillow's own readers are
        # stricter than the decoders behind them: a JFIF segment of 7 bytes, a text of 1 MB, or a wrong checksum of a
        # comment would make them refuse a photo that every gallery shows.
        match self.head:
            case jpeg.Head():
                content = jpeg.picture(self.data, self.head)
            case png.Head():
                content = png.picture(self.data, self.head)
            case heif.Contents():
                content = _content(self.data, self.head.end)
                if self.format == "avif":
                    # Under another brand than this, libavif would decode the first picture of a film instead.
                    content = b"".join((content[:8], b"avif", content[12:]))
            case _:
                content = _content(self.data, len(self.data))
        return Image.open(io.BytesIO(content), formats=[self.format.upper()])


def _content(data: memoryview, end: int) -> bytes:
    """The first `end` bytes, without a copy where these are all and the photo is an object of its own."""
    source = data.obj
    return source if isinstance(source, bytes) and end == len(data) == len(source) else bytes(data[:end])


def judged(data: memoryview, limits: Limits) -> Judged:
    """Judge a photo by its header; Refused, NotAPhoto."""
    kind = format_of(bytes(data[:64]))
    if kind is None:
        raise NotAPhoto(f"not a {ALL_NAMES}")
    try:
        return {"jpeg": _jpeg, "png": _png, "webp": _webp}.get(kind, _heif)(data, limits)
    except (jpeg.Malformed, png.Malformed) as error:
        raise Refused(str(error)) from None


def _jpeg(data: memoryview, limits: Limits) -> Judged:
    head = jpeg.head(data)
    _check(limits.fault("jpeg", head.width, head.height, streamed=head.single))
    if not jpeg.is_whole(data, head):
        raise Refused(CUT_OFF)
    refusal = costs.scans_refusal(data, head)
    if refusal:
        raise Refused(refusal)
    return Judged(data, "jpeg", head.width, head.height, head)


def _png(data: memoryview, limits: Limits) -> Judged:
    head = png.head(data)
    _check(limits.fault("png", head.width, head.height))
    return Judged(data, "png", head.width, head.height, head)


def _webp(data: memoryview, limits: Limits) -> Judged:
    size = webp_size(bytes(data[:30]))
    if size is None:
        raise Refused("a WebP whose header cannot be read")
    # Before the decoder sees the header, because it allocates half of its memory then.
    _check(limits.fault("webp", *size))
    if int.from_bytes(data[4:8], "little") + 8 > len(data):
        raise Refused(CUT_OFF)
    return _sized(Judged(data, "webp", *size), limits)


def _heif(data: memoryview, limits: Limits) -> Judged:
    try:
        head = heif.read(data)
    except heif.Malformed:
        raise Refused("a HEIC or AVIF with boxes that cannot be read") from None
    except grids.Refused as error:
        reason = str(error)
        name = NAMES[format_of(bytes(data[:12])) or "heif"]
        raise Refused(reason if reason == CUT_OFF else f"a {name} that {reason}, as no phone writes it") from None
    kind = _CODINGS.get(head.coding)
    if kind is None:
        if not head.coding:
            raise Refused("a HEIF without a picture")
        coding = head.coding.decode() if head.coding.isalnum() else "unknown"
        raise Refused(f"a HEIF with a picture in {coding} coding; send HEVC or AV1")
    # What is decoded may be larger than what is shown: a grid's last tiles are cropped, and so is a clean aperture.
    _check(limits.fault(kind, *head.coded))
    return _sized(Judged(data, kind, 0, 0, head), limits)


def _sized(photo: Judged, limits: Limits) -> Judged:
    """The photo with the size that its decoder reads from the header; Refused."""
    try:
        with warnings.catch_warnings(action="ignore"), photo.opened() as image:
            width, height = image.size
    except PHOTO_ERRORS:
        raise Refused(f"a {NAMES[photo.format]} whose header cannot be read") from None
    _check(limits.fault(photo.format, width, height))
    return msgspec.structs.replace(photo, width=width, height=height)


def _check(fault: str | None) -> None:
    if fault is not None:
        raise Refused(fault)
