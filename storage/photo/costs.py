"""The cost of rendering a photo, estimated before decoding, and the refusal of forms that no phone writes.

Pure, and shared: nodes and workers both call `refusal`, so they refuse the same files. Costs are CPU seconds on one
core of the machine on which they were measured (`make bench-worst` searches for each format's worst case and prints it
beside an ordinary photo); a slower machine multiplies them by its slowness. The model is an upper bound of what the
search found, at most 50 % above it.
"""

import struct

from ..records import Format
from . import heif, jpeg

# Huffman-coded frames: baseline, extended and progressive (T.81, table B.1). No phone writes lossless (SOF3),
# differential (SOF5 to 7) or arithmetic frames (SOF9 to 15); 320 bytes of arithmetic coding cost 7.5 CPU seconds.
_FRAMES = {0xC0, 0xC1, 0xC2}
_FRAME_NAMES = {3: "lossless", 5: "differential", 6: "differential", 7: "differential lossless"}
# Encoders write about 10 scans. Each scan is a pass over all blocks, so scans times pixels is limited too: 12 scans at
# 50 MP.
SCANS_MAX = 64
SCAN_PIXELS_MAX = 600_000_000
# 50 MP with 8 bits and four channels; with 16 bits, which no phone's PNG has, half as many pixels.
PNG_RAW_BYTES_MAX = 200_000_000
# The cost grows with the number of chunks: 10 MiB of empty ones take 4 s. libpng writes one for every 8 KiB.
PNG_CHUNKS_MAX = 4096
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_PNG_HEAD = struct.Struct(">I4sIIBB")
_PNG_CHUNK = 12  # length, name and checksum

MEGA = 1e6
# Seconds to reduce, encode and hash a decoded photo of any format.
PHOTO_S = 0.06
# Seconds per megapixel, and seconds per megabyte of the file.
RATES: dict[Format, tuple[float, float]] = {
    "jpeg": (0.010, 0.025),
    "png": (0.065, 0.0),
    "webp": (0.045, 0.04),
    "heif": (0.050, 0.12),
}
SCAN_S = 0.0016  # seconds per megapixel and scan, if there are several
# A pair above this is expensive ("dear"). A pair of 12 MP JPEGs from a phone takes about 0.3 s; 1.0 s is five times the
# median pair, which has 3 MP.
DEAR_S = 1.0


def refusal(kind: Format, data: memoryview) -> str | None:
    """Why such a photo is refused, as "a JPEG of …"; None if it is acceptable."""
    match kind:
        case "jpeg":
            return _jpeg_refusal(data)
        case "png":
            return _png_refusal(data)
        case "heif":
            try:
                fault = heif.fault(data)
            except heif.Malformed:
                return "a HEIC with boxes that cannot be read"
            return fault and f"a HEIC that {fault}, as no phone writes it"
        case "webp":
            return None


def cpu_s(kind: Format, data: memoryview, width: int, height: int) -> float:
    """Upper bound of the CPU seconds to render a photo of this size."""
    a_megapixel, a_megabyte = RATES[kind]
    if kind == "jpeg" and (scans := jpeg.scans(data, jpeg.head(data))) > 1:
        a_megapixel += SCAN_S * scans
    return PHOTO_S + a_megapixel * width * height / MEGA + a_megabyte * len(data) / MEGA


def _jpeg_refusal(data: memoryview) -> str | None:
    head = jpeg.head(data)
    if head.endless:
        return f"a JPEG of more than {jpeg.STEPS_MAX} segments"
    if not head.frame:
        return None  # without a frame the file is not a photo, and is refused elsewhere
    if head.frame not in _FRAMES:
        number = head.frame - 0xC0
        return f"a JPEG in {_FRAME_NAMES.get(number, 'arithmetic')} coding (SOF{number}), which no phone writes"
    most = min(SCANS_MAX, SCAN_PIXELS_MAX // max(head.width * head.height, 1))
    # Counting the marker is fast and never too low; only a file with many markers is parsed scan by scan.
    if not head.single and bytes(data[head.scan :]).count(b"\xff\xda") > most and jpeg.scans(data, head) > most:
        return f"a JPEG of more than {most} scans"
    return None


def _png_refusal(data: memoryview) -> str | None:
    at = len(_PNG_MAGIC)
    if len(data) >= at + _PNG_HEAD.size:
        _, _, width, height, bits, colour = _PNG_HEAD.unpack_from(data, at)
        raw = width * height * bits * _PNG_CHANNELS.get(colour, 4) // 8
        if bits > 8 and raw > PNG_RAW_BYTES_MAX:
            return (
                f"a PNG with {raw / MEGA:.0f} MB of {bits}-bit pixels; the limit is {PNG_RAW_BYTES_MAX / MEGA:.0f} MB"
            )
    for _ in range(PNG_CHUNKS_MAX):
        if at + _PNG_CHUNK > len(data) or bytes(data[at + 4 : at + 8]) == b"IEND":
            return None
        at += _PNG_CHUNK + int.from_bytes(data[at : at + 4], "big")
    return f"a PNG of more than {PNG_CHUNKS_MAX} chunks"
