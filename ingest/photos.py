"""Is this a photo we take? Magic bytes, the header's word on size and pixels, and whether the end is there.

The header alone is read, nothing is decoded: an image that claims 60,000 x 60,000 costs as little as any other. A
JPEG without its end marker, a PNG without IEND, a WebP or HEIF shorter than it says was cut off on its way. The
full decode is the worker's; a photo that passes here and fails there makes the post `rejected`.
"""

import io
import struct
import warnings
from collections.abc import Iterator

import msgspec
import pillow_heif
from PIL import Image, UnidentifiedImageError, WebPImagePlugin  # noqa: F401 - the plugin is to be loaded

from storage.records import Format, Photo, Side

pillow_heif.register_heif_opener()
# Pillow loads a format's plugin when it first meets one, from a file: in a node that is out of descriptors just then, a
# good photo would be called bad, and every later one of its format too. All plugins would cost 2 MiB.
Image.preinit()
# The limit is ours, below, on the header's numbers; Pillow's own would only warn between its two thresholds.
Image.MAX_IMAGE_PIXELS = None

_PILLOW_NAMES: dict[Format, str] = {"png": "PNG", "webp": "WEBP", "heif": "HEIF"}
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}
_STANDALONE_MARKERS = {0x01, *range(0xD0, 0xD8)}  # JPEG markers without a length: TEM and RST0 to RST7
_START_OF_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # those are tables and a reserved one
_START_OF_SCAN = 0xDA
_END_OF_IMAGE = b"\xff\xd9"
_TAIL_BYTES = 4096


class NotAPhoto(Exception):
    """The bytes are of no type we take."""


class BadPhoto(Exception):
    """A photo of a known type that we cannot take; the text says why."""


# libwebp takes 17 bytes a pixel, which ends a worker's memory sooner than other types do (`processors/decoding.py`).
WEBP_PIXELS_MAX = 39_000_000


class PixelLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a photo may measure."""

    side_px_min: int = 64
    side_px_max: int = 12_000
    pixels_max: int = 50_000_000


def inspect(side: Side, data: memoryview, sha256: str, limits: PixelLimits) -> Photo:
    """What the header says, if it is a photo we take; NotAPhoto, BadPhoto."""
    if not data:
        raise BadPhoto(f"the {side} photo is empty")
    kind = format_of(data)
    if kind is None:
        raise NotAPhoto(f"the {side} photo is no JPEG, PNG, WebP or HEIC by its first bytes")
    size = _jpeg_size(data) if kind == "jpeg" else _pillow_size(kind, data)
    if size is None:
        raise BadPhoto(f"the header of the {side} photo cannot be read")
    width, height = size
    if not (limits.side_px_min <= min(width, height) and max(width, height) <= limits.side_px_max):
        raise BadPhoto(
            f"the {side} photo measures {width} x {height} px; each side must have "
            f"{limits.side_px_min} to {limits.side_px_max}"
        )
    pixels_max = min(limits.pixels_max, WEBP_PIXELS_MAX) if kind == "webp" else limits.pixels_max
    if width * height > pixels_max:
        raise BadPhoto(f"the {side} photo has {width * height} pixels, more than {pixels_max} as {kind}")
    if not is_whole(kind, data):
        raise BadPhoto(f"the {side} photo is cut off: its end is missing")
    return Photo(sha256=sha256, bytes=len(data), width=width, height=height, format=kind)


def format_of(data: memoryview) -> Format | None:
    """The type by magic bytes, or None."""
    start = bytes(data[:12])
    if start.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "webp"
    if start[4:8] == b"ftyp" and start[8:12] in _HEIF_BRANDS:
        return "heif"
    return None


def is_whole(kind: Format, data: memoryview) -> bool:
    """Whether the file's end is there; phones may append something after it, which is no harm."""
    match kind:
        case "jpeg":
            # Inside a scan FF is followed by 00 or RSTn only, so an end marker after it is a real one (T.81, B.1.1.5).
            scan = next((at for marker, at in _segments(data) if marker == _START_OF_SCAN), None)
            return scan is not None and _END_OF_IMAGE in _last_of(data[scan:], _END_OF_IMAGE)
        case "png":
            return b"IEND\xaeB`\x82" in bytes(data[-65536:])
        case "webp":
            return int.from_bytes(data[4:8], "little") + 8 <= len(data)
        case "heif":
            return _boxes_fit(data)


def _last_of(data: memoryview, mark: bytes) -> bytes:
    """The end of the data where the mark nearly always is, all of it only when it is not there."""
    tail = bytes(data[-_TAIL_BYTES:])
    return tail if mark in tail else bytes(data)


def _segments(data: memoryview) -> Iterator[tuple[int, int]]:
    """Marker and place of a JPEG's segments up to its first scan, so that an EXIF thumbnail is not taken for it."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        yield marker, at
        if marker == _START_OF_SCAN:
            return
        at += 2 if marker in _STANDALONE_MARKERS else 2 + int.from_bytes(data[at + 2 : at + 4], "big")


def _jpeg_size(data: memoryview) -> tuple[int, int] | None:
    """Width and height by the frame header (T.81, B.2.2): 8 bits a sample; grey, three colours or four."""
    for marker, at in _segments(data):
        if marker in _START_OF_FRAME and at + 10 <= len(data):
            precision, components = data[at + 4], data[at + 9]
            if precision != 8 or components not in {1, 3, 4}:
                return None
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
    return None


def _pillow_size(kind: Format, data: memoryview) -> tuple[int, int] | None:
    """Width and height as Pillow reads them from the header."""
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(io.BytesIO(data), formats=[_PILLOW_NAMES[kind]]) as image,
        ):
            return image.size
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, struct.error, EOFError):
        return None


def _boxes_fit(data: memoryview) -> bool:
    """Whether the top-level boxes end where the file does (ISO/IEC 14496-12, 4.2; size 0: to the end, 1: 64 bit)."""
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if size == 0:
            return True
        if size < 8:
            return False
        at += size
    return at == len(data)
