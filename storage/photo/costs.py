"""The cost of rendering a photo, estimated before decoding, and the limit on a JPEG's scans.

Pure, and shared by nodes and workers. Costs are CPU seconds on one core of the machine on which they were measured
(`make bench-worst` searches for each format's worst case and prints it beside an ordinary photo); a slower machine
multiplies them by its slowness. The model is an upper bound of what the search found, at most 50 % above it.
"""

from ..records import Format
from . import grids, heif, jpeg

# Encoders write about 10 scans. Each scan is a pass over all blocks, so scans times pixels is limited too: 12 scans at
# 50 MP.
SCANS_MAX = 64
SCAN_PIXELS_MAX = 600_000_000

MEGA = 1e6
# Seconds to reduce, encode and hash a decoded photo of any format.
PHOTO_S = 0.06
# Seconds per megapixel, and seconds per megabyte of the file.
RATES: dict[Format, tuple[float, float]] = {
    "jpeg": (0.010, 0.025),
    "png": (0.065, 0.0),
    "webp": (0.045, 0.04),
    "heif": (0.050, 0.12),
    "avif": (0.040, 0.09),
}
SCAN_S = 0.0016  # seconds per megapixel and scan, if there are several
# Seconds per megapixel of a JPEG beyond this size: at a quarter or an eighth, only its entropy coding costs anything.
LARGE_MP = 50.0
REDUCED_S = 0.002
# A pair above this is expensive ("dear"). A pair of 12 MP JPEGs from a phone takes about 0.3 s; 1.0 s is five times the
# median pair, which has 3 MP.
DEAR_S = 1.0


def scans_refusal(data: memoryview, head: jpeg.Head) -> str | None:
    """Why a JPEG is refused for its scans, as "a JPEG of …"; None if it is acceptable."""
    most = min(SCANS_MAX, SCAN_PIXELS_MAX // max(head.width * head.height, 1))
    # Counting the marker is fast and never too low; only a file with many markers is parsed scan by scan.
    if not head.single and bytes(data[head.scan :]).count(b"\xff\xda") > most and jpeg.scans(data, head) > most:
        return f"a JPEG of more than {most} scans"
    return None


def cpu_s(kind: Format, data: memoryview, width: int, height: int) -> float:
    """Upper bound of the CPU seconds to render a photo of this size."""
    (a_megapixel, a_megabyte), megapixels = RATES[kind], max(width * height, _decoded(kind, data)) / MEGA
    if kind == "jpeg" and (scans := _scans(data)) > 1:
        a_megapixel += SCAN_S * scans
    reduced = max(0.0, megapixels - LARGE_MP) if kind == "jpeg" else 0.0
    return PHOTO_S + a_megapixel * (megapixels - reduced) + REDUCED_S * reduced + a_megabyte * len(data) / MEGA


def _decoded(kind: Format, data: memoryview) -> int:
    """The pixels that are decoded for a HEIC or AVIF, which may be more than are shown of it."""
    if kind not in {"heif", "avif"}:
        return 0
    try:
        across, down = heif.read(data).coded
    except (heif.Malformed, grids.Refused):
        return 0  # It is refused before it is decoded.
    return across * down


def _scans(data: memoryview) -> int:
    try:
        return jpeg.scans(data, jpeg.head(data))
    except jpeg.Malformed:
        return 0  # It is refused before it is decoded.
