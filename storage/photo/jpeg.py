"""A JPEG's markers (T.81, annex B): its frame, where its scans begin, and how many there are.

Pure, and the only JPEG parser of nodes and workers, so that both refuse the same files. Nothing is decoded. Segments
are followed up to the first scan, so that an EXIF thumbnail is not taken for the photo. Inside a scan, FF is followed
only by 00 or RSTn, so any other marker ends the scan (B.1.1.5). Bytes after the end marker are ignored.
"""

import re
import struct

import msgspec

_STANDALONE = {0x01, *range(0xD0, 0xD8)}  # markers without a length: TEM and RST0 to RST7
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # C4 and CC are tables, C8 is reserved
_SEQUENTIAL = {0xC0, 0xC1}
_SOS, _EOI = 0xDA, 0xD9
_SEGMENT = struct.Struct(">BBH")
_FRAME = struct.Struct(">BHHB")
_SCAN = b"\xff\xda"
_ENDS_A_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
# At most this many segments are read, before the first scan and between scans; photos have a few dozen.
STEPS_MAX = 4096


class Head(msgspec.Struct, frozen=True):
    """The part before the first scan; `frame` is the marker's second byte, `scan` the first scan's offset or 0.

    `endless`: there was no scan among the first `STEPS_MAX` segments. `single`: a decoder reads the first scan only.
    """

    frame: int = 0
    width: int = 0
    height: int = 0
    scan: int = 0
    endless: bool = False
    single: bool = False


def head(data: memoryview) -> Head:
    """Parse the head. No size without a supported frame: 8 bits per sample; grey, three or four channels."""
    at, last, found, channels = 2, len(data) - 4, Head(), 0
    for _ in range(STEPS_MAX):
        if at > last:
            break
        mark, marker, length = _SEGMENT.unpack_from(data, at)
        if mark != 0xFF:
            break
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker == _SOS:
            # libjpeg reads further scans only of a progressive frame, or if the first lacks a component (jdinput.c).
            single = found.frame in _SEQUENTIAL and at + 4 < len(data) and data[at + 4] == channels
            return msgspec.structs.replace(found, scan=at, single=single)
        if not found.frame and marker in _FRAMES and at + 10 <= len(data):
            precision, height, width, components = _FRAME.unpack_from(data, at + 4)
            if precision != 8 or components not in {1, 3, 4}:
                break
            found, channels = Head(marker, width, height), components
        at += 2 if marker in _STANDALONE else 2 + length
    else:
        return msgspec.structs.replace(found, endless=True)
    return found


def scans(data: memoryview, start: Head) -> int:
    """The number of scans that a decoder reads, counted up to `STEPS_MAX`; `start` is the photo's head."""
    if start.single or not start.scan:  # most photos from phones have a single scan; a search costs 1 ms per megabyte
        return int(start.scan > 0)
    body = bytes(data[start.scan :])
    if body.find(_SCAN, 2) < 0:
        return 1
    at, count = 0, 0
    for _ in range(STEPS_MAX):
        found = _ENDS_A_SCAN.search(body, at)
        if found is None or found[0][1] == _EOI:
            return count
        at = found.start()
        count += found[0][1] == _SOS
        standalone = found[0][1] in _STANDALONE
        at += 2 if standalone else 2 + int.from_bytes(body[at + 2 : at + 4], "big")
    return STEPS_MAX
