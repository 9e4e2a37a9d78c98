"""What a photo may be: its format by magic bytes, and the sides and pixels of it that are accepted.

Pure, and the one rule for nodes and workers. A node applies it with its settings, and decides at the header. A worker
applies `DECODABLE`, which is bounded by nothing but the memory of a render process and the largest side of any format.
The limits of a node are never wider than `DECODABLE`, whatever its settings are, so a worker rejects no photo for its
size that a node answered 201 to. Forms that no phone writes are refused in `costs.py`.
"""

from typing import Final

import msgspec

from ..records import Format

MIB: Final = 1 << 20
# The defaults of the node's settings. 50 MP is every phone's default at most, and what imgproxy and Supabase allow.
PIXELS_MAX: Final = 50_000_000
SIDE_PX_MIN: Final = 64
SIDE_PX_MAX: Final = 12_000
# The largest side that a JPEG can state (T.81, B.2.2: 16 bits); other formats may not have more.
ANY_SIDE_PX_MAX: Final = 65_535
# Memory of a render process for one photo, and what decoding takes of it at most, in bytes per pixel, the steps of
# processors' `flattened` included. Measured at 50 MP: JPEG 1.2, progressive 3.2 (its coefficients; 8 as CMYK without
# subsampling), PNG 5.3, with alpha 9.1, HEIC 7.3, WebP 15.7, with alpha 16.9: WebP ends at 39 MP, which no phone makes.
DECODE_BYTES_MAX: Final = 640 * MIB
DECODE_BYTES: Final[dict[Format, int]] = {"jpeg": 12, "png": 13, "heif": 13, "webp": 17}
HEIF_BRANDS: Final = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}
# As people write them.
NAMES: Final[dict[Format, str]] = {"jpeg": "JPEG", "png": "PNG", "webp": "WebP", "heif": "HEIC"}


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How large a photo may be."""

    pixels_max: int = PIXELS_MAX
    side_px_min: int = SIDE_PX_MIN
    side_px_max: int = SIDE_PX_MAX
    decode_bytes_max: int = DECODE_BYTES_MAX

    def most(self, kind: Format) -> int:
        """The pixels that a photo of this format may have."""
        return min(self.pixels_max, self.decode_bytes_max // DECODE_BYTES[kind])

    def fault(self, kind: Format, width: int, height: int) -> str | None:
        """Why a photo of this size is not accepted, as "96x128 pixels; …"; None where it is."""
        most, side_max = self.most(kind), min(self.side_px_max, ANY_SIDE_PX_MAX)
        if width * height > most:
            found = f"{width}x{height} pixels are {_megapixels(width * height)} megapixels"
            return f"{found}; the limit for {NAMES[kind]} is {_megapixels(most)}"
        if min(width, height) < self.side_px_min or max(width, height) > side_max:
            return f"{width}x{height} pixels; a side must have {self.side_px_min} to {side_max}"
        return None


# What a worker decodes.
DECODABLE: Final = Limits(pixels_max=DECODE_BYTES_MAX, side_px_min=1, side_px_max=ANY_SIDE_PX_MAX)


def format_of(start: bytes) -> Format | None:
    """The format by magic bytes, or None; the first 12 bytes are enough. File names and media types are never asked."""
    if start.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return "webp"
    if start[4:8] == b"ftyp" and start[8:12] in HEIF_BRANDS:
        return "heif"
    return None


def _megapixels(pixels: int) -> str:
    """The number in megapixels, for a sentence."""
    return f"{pixels / 1e6:.1f}".removesuffix(".0")
