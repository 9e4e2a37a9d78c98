"""Which photos are accepted: the format by magic bytes, and limits on sides and pixels.

Pure, and the only rule for nodes and workers, who ask it through `judge.py`. A node applies it with the limits of its
settings. A worker applies `DECODABLE`, which is limited only by the memory of a render process and the largest side of
any format. A node's limits are never wider than `DECODABLE`, whatever its settings, so a worker rejects no photo for
its size that a node answered with 201.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from ..records import Format

MIB: Final = 1 << 20
# Defaults of the node's settings. A phone's photo has 0.1 to 5 MB, one of 200 MP or with a film behind it up to 15.
BYTES_MAX: Final = 16 * MIB
# The largest sensors of phones have 200 MP (16,320 x 12,240); panoramas may reach the
# largest side that libjpeg decodes (JPEG_MAX_DIMENSION), which applies to other formats too.
PIXELS_MAX: Final = 200_000_000
SIDE_PX_MIN: Final = 64
ANY_SIDE_PX_MAX: Final = 65_500
SIDE_PX_MAX: Final = ANY_SIDE_PX_MAX
# Memory of a render process for one photo, and the most bytes per pixel that decoding takes, including the steps of
# processors' `flattened`. Measured at 50 MP: progressive JPEG 3.2 (its coefficients; 8 as CMYK without subsampling),
# PNG 5.3, with alpha 9.1, HEIC 7.3, WebP 15.7, with alpha 16.9,
# AVIF 9.0, with alpha 13.1 (and two more with 10 bits).
DECODE_BYTES_MAX: Final = 640 * MIB
# One setting for nodes and workers: the pixels that a node accepts follow from the memory that a worker may take.
DECODE_BYTES_SETTING: Final = "SNAPSURGE_STORAGE_DECODE_BYTES_MAX"
DecodeBytes = Annotated[
    int, Meta(ge=1, description="bytes of memory to decode one photo, which limit the pixels of a format")
]
DECODE_BYTES: Final[dict[Format, int]] = {"jpeg": 12, "png": 13, "heif": 13, "webp": 17, "avif": 17}
# A JPEG of a single scan is reduced row by row while it is decoded, by 2, 4 or 8 a side, to at least the 2000 pixels of
# the largest rendition: 4000 x 4000 pixels at most are in memory, or a 64th of the photo. 200 MP take 120 MB.
REDUCED_PIXELS_MAX: Final = 16_000_000
REDUCTION_MAX: Final = 64
HEIF_BRANDS: Final = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}
AVIF_BRANDS: Final = {b"avif", b"avis"}
CUT_OFF: Final = "cut off: its end is missing"
# Names for error texts.
NAMES: Final[dict[Format, str]] = {"jpeg": "JPEG", "png": "PNG", "webp": "WebP", "heif": "HEIC", "avif": "AVIF"}


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits on the size of a photo."""

    pixels_max: int = PIXELS_MAX
    side_px_min: int = SIDE_PX_MIN
    side_px_max: int = SIDE_PX_MAX
    decode_bytes_max: int = DECODE_BYTES_MAX

    def most(self, kind: Format, *, streamed: bool = False) -> int:
        """The maximum number of pixels of a photo in this format; `streamed`: a JPEG of a single scan."""
        fitting = self.decode_bytes_max // DECODE_BYTES[kind]
        if streamed and fitting >= REDUCED_PIXELS_MAX:
            fitting *= REDUCTION_MAX
        return min(self.pixels_max, fitting)

    def fault(self, kind: Format, width: int, height: int, *, streamed: bool = False) -> str | None:
        """Why a photo of this size is refused, as "96x128 pixels; …"; None if it is accepted."""
        most, side_max = self.most(kind, streamed=streamed), min(self.side_px_max, ANY_SIDE_PX_MAX)
        if width * height > most:
            found = f"{width}x{height} pixels, which are {_megapixels(width * height)} megapixels"
            name = "a JPEG of several scans" if kind == "jpeg" and most < self.pixels_max else NAMES[kind]
            return f"{found}; the limit for {name} is {_megapixels(most)}"
        if min(width, height) < self.side_px_min or max(width, height) > side_max:
            return f"{width}x{height} pixels; a side must have {self.side_px_min} to {side_max}"
        return None


# The limits of a worker.
DECODABLE: Final = Limits(pixels_max=ANY_SIDE_PX_MAX**2, side_px_min=1, side_px_max=ANY_SIDE_PX_MAX)


def format_of(start: bytes) -> Format | None:
    """The format by magic bytes, or None; 12 bytes are enough. File names and media types are ignored."""
    if start.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return "webp"
    if start[4:8] == b"ftyp":
        # The brand `mif1` stands for either; the coding of the picture decides then (`judge.py`).
        return "heif" if start[8:12] in HEIF_BRANDS else "avif" if start[8:12] in AVIF_BRANDS else None
    return None


def webp_size(start: bytes) -> tuple[int, int] | None:
    """Width and height by the first 30 bytes of a WebP (RFC 9649, sections 2.5 to 2.7 and 3.4); None if malformed."""
    chunk = start[12:16]
    if len(start) < 30:
        return None
    if chunk == b"VP8X":
        return 1 + int.from_bytes(start[24:27], "little"), 1 + int.from_bytes(start[27:30], "little")
    if chunk == b"VP8L" and start[20] == 0x2F:
        bits = int.from_bytes(start[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 " and start[23:26] == b"\x9d\x01\x2a":
        return int.from_bytes(start[26:28], "little") & 0x3FFF, int.from_bytes(start[28:30], "little") & 0x3FFF
    return None


def _megapixels(pixels: int) -> str:
    """The number of megapixels as text."""
    return f"{pixels / 1e6:.1f}".removesuffix(".0")
