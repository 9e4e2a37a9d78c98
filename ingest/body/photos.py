"""Checks that a photo is acceptable: magic bytes, size and pixels in the header, and that the file's end is present.

Only the header is read, nothing is decoded: an image that claims 60,000 x 60,000 pixels costs as little as any other. A
JPEG without its end marker, a PNG without IEND, and a WebP or HEIF shorter than it says were cut off in transfer. The
worker does the full decode; a photo that passes here and fails there makes the post `rejected`.
"""

import io
import struct
import warnings

import pillow_heif
from PIL import Image, UnidentifiedImageError, WebPImagePlugin  # noqa: F401 - the plugin is to be loaded

from storage.photo import costs, formats, jpeg
from storage.records import Format, Photo, Side

pillow_heif.register_heif_opener()
# Without this, Pillow loads a format's plugin from a file on first use. A node that is out of file descriptors at that
# moment would refuse a good photo, and all later ones of that format. Loading all plugins would cost 2 MiB.
Image.preinit()
# `limits` checks the header's numbers below; Pillow's own limit would only warn between its two thresholds.
Image.MAX_IMAGE_PIXELS = None

_END_OF_IMAGE = b"\xff\xd9"
_TAIL_BYTES = 4096
# Limit on the boxes of a HEIF file that are read: photos have a few dozen, and the node has other uploads to serve.
STEPS_MAX = jpeg.STEPS_MAX


class NotAPhoto(Exception):
    """The bytes are not in a supported format."""


class BadPhoto(Exception):
    """A photo in a supported format that is not acceptable; the text says why."""


def inspect(side: Side, data: memoryview, sha256: str, limits: formats.Limits) -> Photo:
    """What the header says, if the photo is acceptable; NotAPhoto, BadPhoto."""
    if not data:
        raise BadPhoto(f"the {side} photo is empty")
    kind = formats.format_of(bytes(data[:12]))
    if kind is None:
        raise NotAPhoto(f"the {side} photo is no JPEG, PNG, WebP or HEIC by its first bytes")
    refusal = costs.refusal(kind, data)
    if refusal is not None:
        raise BadPhoto(f"the {side} photo is {refusal}")
    size, whole = _jpeg(data) if kind == "jpeg" else (_pillow_size(kind, data), is_whole(kind, data))
    if size is None:
        raise BadPhoto(f"the header of the {side} photo cannot be read")
    width, height = size
    fault = limits.fault(kind, width, height)
    if fault is not None:
        raise BadPhoto(f"the {side} photo has {fault}")
    if not whole:
        raise BadPhoto(f"the {side} photo is cut off: its end is missing")
    return Photo(sha256=sha256, bytes=len(data), width=width, height=height, format=kind)


def is_whole(kind: Format, data: memoryview) -> bool:
    """Whether the file's end is present; data that phones append after it does not matter."""
    match kind:
        case "jpeg":
            return _jpeg(data)[1]
        case "png":
            return b"IEND\xaeB`\x82" in bytes(data[-65536:])
        case "webp":
            return int.from_bytes(data[4:8], "little") + 8 <= len(data)
        case "heif":
            return _boxes_fit(data)


def _jpeg(data: memoryview) -> tuple[tuple[int, int] | None, bool]:
    """A JPEG's width and height from its frame header, and whether its end is present.

    Inside a scan, FF is followed only by 00 or RSTn, so an end marker after the scan's start is a real one (T.81,
    B.1.1.5).
    """
    head = jpeg.head(data)
    size = (head.width, head.height) if head.frame else None
    return size, head.scan > 0 and (data[-2:] == _END_OF_IMAGE or _ends(data[head.scan :]))


def _ends(scan: memoryview) -> bool:
    """Whether a scan has an end marker; nearly always it is near the end."""
    return _END_OF_IMAGE in bytes(scan[-_TAIL_BYTES:]) or _END_OF_IMAGE in bytes(scan)


def _pillow_size(kind: Format, data: memoryview) -> tuple[int, int] | None:
    """Width and height as Pillow reads them from the header."""
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(io.BytesIO(data), formats=[kind.upper()]) as image,
        ):
            return image.size
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, struct.error, EOFError):
        return None


def _boxes_fit(data: memoryview) -> bool:
    """Whether the top-level boxes end where the file does (ISO/IEC 14496-12, 4.2; size 0: to the end, 1: 64 bit).

    Boxes fill a file without padding: a remainder that is too short for a box's header means that the file was cut off.
    """
    at = 0
    for _ in range(STEPS_MAX):
        if at >= len(data):
            break
        size, header = int.from_bytes(data[at : at + 4], "big"), 8
        if size == 1:
            size, header = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        if len(data) - at < header:
            return False
        if size == 0 and header == 8:
            return True
        if size < header:
            return False
        at += size
    return at == len(data)
