"""Which photos are accepted: the format by magic bytes, and limits on sides and pixels.

Pure, and the only rule for nodes and workers. A node applies it to the header, with the limits of its settings. A
worker applies `DECODABLE`, which is limited only by the memory of a render process and the largest side of any format.
A node's limits are never wider than `DECODABLE`, whatever its settings, so a worker rejects no photo for its size that
a node answered with 201. `costs.py` refuses forms that no phone writes.
"""

from typing import Final

import msgspec

from ..records import Format

MIB: Final = 1 << 20
# Defaults of the node's settings. No phone's default is above 50 MP, and imgproxy and Supabase allow the same.
PIXELS_MAX: Final = 50_000_000
SIDE_PX_MIN: Final = 64
SIDE_PX_MAX: Final = 12_000
# The largest side that a JPEG can state (T.81, B.2.2: 16 bits); the same limit applies to other formats.
ANY_SIDE_PX_MAX: Final = 65_535
# Memory of a render process for one photo, and the most bytes per pixel that decoding takes, including the steps of
# processors' `flattened`. Measured at 50 MP: JPEG 1.2, progressive 3.2 (its coefficients; 8 as CMYK without
# subsampling), PNG 5.3, with alpha 9.1, HEIC 7.3, WebP 15.7, with alpha 16.9. So WebP is limited to 39 MP, which no
# phone makes.
DECODE_BYTES_MAX: Final = 640 * MIB
DECODE_BYTES: Final[dict[Format, int]] = {"jpeg": 12, "png": 13, "heif": 13, "webp": 17}
HEIF_BRANDS: Final = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}
# Names for error texts.
NAMES: Final[dict[Format, str]] = {"jpeg": "JPEG", "png": "PNG", "webp": "WebP", "heif": "HEIC"}


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits on the size of a photo."""

    pixels_max: int = PIXELS_MAX
    side_px_min: int = SIDE_PX_MIN
    side_px_max: int = SIDE_PX_MAX
    decode_bytes_max: int = DECODE_BYTES_MAX

    def most(self, kind: Format) -> int:
        """The maximum number of pixels of a photo in this format."""
        return min(self.pixels_max, self.decode_bytes_max // DECODE_BYTES[kind])

    def fault(self, kind: Format, width: int, height: int) -> str | None:
        """Why a photo of this size is refused, as "96x128 pixels; …"; None if it is accepted."""
        most, side_max = self.most(kind), min(self.side_px_max, ANY_SIDE_PX_MAX)
        if width * height > most:
            found = f"{width}x{height} pixels are {_megapixels(width * height)} megapixels"
            return f"{found}; the limit for {NAMES[kind]} is {_megapixels(most)}"
        if min(width, height) < self.side_px_min or max(width, height) > side_max:
            return f"{width}x{height} pixels; a side must have {self.side_px_min} to {side_max}"
        return None


# The limits of a worker.
DECODABLE: Final = Limits(pixels_max=DECODE_BYTES_MAX, side_px_min=1, side_px_max=ANY_SIDE_PX_MAX)


def format_of(start: bytes) -> Format | None:
    """The format by magic bytes, or None; 12 bytes are enough. File names and media types are ignored."""
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
    """The number of megapixels as text."""
    return f"{pixels / 1e6:.1f}".removesuffix(".0")
