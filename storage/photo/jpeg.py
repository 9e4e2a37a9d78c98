"""A JPEG's markers (T.81, annex B): its frame and tables, where its scans begin, how many there are, and where it ends.

Pure, and the only JPEG parser of nodes and workers, so that both refuse the same files. Nothing is decoded.

Bytes that are no marker are skipped up to the next one, as libjpeg does (`next_marker` in jdmarker.c): some phones
write `00 E1` between segments. Segments are followed up to the first scan, so that an EXIF thumbnail is not taken for
the photo. Everything that makes libjpeg give up before the first scan is a fault here too. A decoder gets `picture`:
the segments that it needs and the scans, so no other segment, however odd, can fail it. Inside a scan, FF is followed
only by 00 or RSTn, so any other marker ends the scan (B.1.1.5). Bytes after the end marker are ignored.
"""

import re
import struct
from collections.abc import Iterator
from functools import lru_cache
from operator import mul
from typing import Final

import msgspec

_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # C4 and CC are tables, C8 is reserved
_STANDALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length: TEM, RST0 to RST7, SOI
_WITH_LENGTH = frozenset({*range(0xC0, 0xF0), 0xFE} - {*range(0xD0, 0xDA)})
_SEQUENTIAL = {0xC0, 0xC1}
# Huffman-coded frames: baseline, extended and progressive (T.81, table B.1). No phone writes lossless (SOF3),
# differential (SOF5 to 7) or arithmetic frames (SOF9 to 15); 320 bytes of arithmetic coding cost 7.5 CPU seconds.
_TAKEN = {0xC0, 0xC1, 0xC2}
_FRAME_NAMES = {3: "lossless", 5: "differential", 6: "differential", 7: "differential lossless"}
_DHT, _EOI, _SOS, _DQT, _DRI = 0xC4, 0xD9, 0xDA, 0xDB, 0xDD
_DECISIVE = frozenset({*_FRAMES, _DHT, _DQT, _DRI, _SOS})
_SEGMENT = struct.Struct(">BBH")
_FRAME = struct.Struct(">BHHB")
_SCAN = b"\xff\xda"
_END = b"\xff\xd9"
_START = b"\xff\xd8"
_MARKER = re.compile(rb"\xff[\x01-\xfe]")
_ENDS_A_PICTURE = re.compile(_END)
_ENDS_A_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
# Weights of the 16 code lengths of a Huffman table: the codes fit if the weighted sum is below 2**16 (jdhuff.c).
_WEIGHTS = tuple(1 << (16 - length) for length in range(1, 17))
_APP_KEPT: Final = {
    # marker: its identifier and least length. A decoder reads the colour space from JFIF and Adobe segments.
    0xE0: (b"JFIF\0", 14),
    0xE1: (b"Exif\0\0", 6),
    0xE2: (b"ICC_PROFILE\0", 14),
    0xEE: (b"Adobe", 12),
}
# libjpeg's own tables, by class and number, serve a sequential photo that has none (jstdhuff.c).
_STANDARD = {(0, 0), (0, 1), (1, 0), (1, 1)}
# At most this many segments are read, before the first scan and between scans; photos have a few dozen.
STEPS_MAX = 4096
# At most this many bytes that belong to no segment are skipped before the first scan.
JUNK_BYTES_MAX = 65_536
_TAIL_BYTES = 4096
# The heads that are remembered, and the bytes of the tables of each at most: 1 MiB in all.
REMEMBERED_MAX = 256
REMEMBERED_BYTES_MAX = 4096
_BLOCKS_MAX = 10  # of a group of interleaved blocks (T.81, B.2.3)
_SAMPLING_MAX = 4
_CHANNELS = {1, 3, 4}
_CUT_OFF = "cut off: its end is missing"


class Malformed(Exception):
    """The head cannot be decoded; the text says why, as "a JPEG …"."""


class Head(msgspec.Struct, frozen=True):
    """The part before the first scan; `frame` is the marker's second byte, `scan` the first scan's offset.

    `single`: a decoder reads the first scan only.
    """

    frame: int
    width: int
    height: int
    scan: int
    single: bool


class _Component(msgspec.Struct, frozen=True):
    """A colour component of the frame: its sampling factors, and the number of its quantisation table."""

    across: int
    down: int
    table: int


class _Frame(msgspec.Struct, frozen=True):
    marker: int
    width: int
    height: int
    components: dict[int, _Component]


def head(data: memoryview) -> Head:
    """Parse the head; Malformed. Supported are Huffman-coded frames of 8 bits; grey, three or four channels."""
    parts, size = list[tuple[int, bytes]](), 0
    for marker, start, end in _segments(data):
        if marker in _DECISIVE:
            parts.append((marker, bytes(data[start + 4 : end])))
            size += end - start
        if marker == _SOS:
            check = _checked if size <= REMEMBERED_BYTES_MAX else _checked.__wrapped__
            frame, single = check(tuple(parts))
            return Head(frame.marker, frame.width, frame.height, start, single)
    raise Malformed(_CUT_OFF)


# Photos of one kind of phone have the same tables: remembering the last ones saves 35 us a photo.
@lru_cache(REMEMBERED_MAX)
def _checked(parts: tuple[tuple[int, bytes], ...]) -> tuple[_Frame, bool]:
    """The frame, and whether a decoder reads the first scan only; Malformed when libjpeg would give up before it.

    `parts` has marker and content of frame, tables and first scan, in their order.
    """
    frame: _Frame | None = None
    quantisation, huffman = set[int](), dict[tuple[int, int], bool]()
    for marker, body in parts:
        if marker == _DHT:
            huffman |= _huffman(body)
        elif marker == _DQT:
            quantisation |= _quantisation(body)
        elif marker == _DRI:
            if len(body) != 2:
                raise Malformed("a JPEG with a restart interval that cannot be read")
        elif marker in _FRAMES:
            if frame is not None:
                raise Malformed("a JPEG with two frames")
            frame = _frame(marker, body)
    if frame is None:
        raise Malformed("a JPEG without a frame before its first scan")
    return frame, _scan(parts[-1][1], frame, quantisation, huffman)


def _segments(data: memoryview) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment up to the first scan's header; Malformed when there are too many."""
    at, last, junk = 2, len(data) - 4, JUNK_BYTES_MAX
    for _ in range(STEPS_MAX):
        if at > last:
            return
        mark, marker, length = _SEGMENT.unpack_from(data, at)
        if mark == 0xFF and marker in _WITH_LENGTH:
            end = at + 2 + max(length, 2)
            if end > len(data):
                return
            if length < 2 and marker in _DECISIVE:
                raise Malformed("a JPEG whose header cannot be read")
            yield marker, at, end
            if marker == _SOS:
                return
            at = end
        elif mark == 0xFF and marker not in {0, 0xFF}:
            if marker == _EOI:
                raise Malformed("a JPEG without a picture")
            at += 2  # a marker without a length, or one that no decoder knows: what follows is no marker
        else:
            found = _next_marker(data, at, junk)
            junk -= found - at
            at = found
    raise Malformed(f"a JPEG of more than {STEPS_MAX} segments")


def _next_marker(data: memoryview, at: int, most: int) -> int:
    """The offset of the next marker, at most `most` bytes away; Malformed."""
    found = _MARKER.search(data, at, at + most)
    if found is not None:
        return found.start()
    if at + most < len(data):
        raise Malformed(f"a JPEG with more than {JUNK_BYTES_MAX} bytes between its segments")
    raise Malformed(_CUT_OFF)


def _quantisation(body: bytes) -> set[int]:
    """The numbers of the tables of a segment; Malformed."""
    at, found = 0, set[int]()
    while at < len(body):
        wide, number = body[at] >> 4, body[at] & 15
        at += 129 if wide else 65
        if number > 3 or at > len(body):
            raise Malformed("a JPEG with a quantisation table that cannot be read")
        found.add(number)
    return found


def _huffman(body: bytes) -> dict[tuple[int, int], bool]:
    """Class and number of the tables of a segment, and whether a decoder can use each (jdhuff.c); Malformed."""
    at, found = 0, dict[tuple[int, int], bool]()
    while len(body) - at > 16:
        counts = body[at + 1 : at + 17]
        kind, number, many = body[at] >> 4, body[at] & 15, sum(counts)
        values = body[at + 17 : at + 17 + many]
        if kind > 1 or number > 3 or many > 256 or len(values) < many:
            break
        fits = sum(map(mul, counts, _WEIGHTS)) < 1 << 16
        found[kind, number] = fits and (kind == 1 or not many or max(values) < 16)
        at += 17 + many
    if at != len(body):
        raise Malformed("a JPEG with a Huffman table that cannot be read")
    return found


def _frame(marker: int, body: bytes) -> _Frame:
    number = marker - 0xC0
    if marker not in _TAKEN:
        raise Malformed(
            f"a JPEG in {_FRAME_NAMES.get(number, 'arithmetic')} coding (SOF{number}), which no phone writes"
        )
    if len(body) < _FRAME.size:
        raise Malformed("a JPEG whose header cannot be read")
    precision, height, width, count = _FRAME.unpack_from(body)
    if precision != 8 or count not in _CHANNELS:
        raise Malformed(
            f"a JPEG whose header has {precision} bits and {count} channels; send 8 bits, 1, 3 or 4 channels"
        )
    components = {
        body[at]: _Component(body[at + 1] >> 4, body[at + 1] & 15, body[at + 2]) for at in range(6, len(body) - 2, 3)
    }
    if len(body) != _FRAME.size + 3 * count or len(components) != count or not width or not height:
        raise Malformed("a JPEG whose header cannot be read")
    across, down = ({getattr(one, name) for one in components.values()} for name in ("across", "down"))
    for factors in (across, down):
        if not 0 < min(factors) <= max(factors) <= _SAMPLING_MAX or any(max(factors) % one for one in factors):
            raise Malformed("a JPEG whose header has sampling factors that no decoder takes")
    return _Frame(marker, width, height, components)


def _scan(body: bytes, frame: _Frame, quantisation: set[int], huffman: dict[tuple[int, int], bool]) -> bool:
    """Whether a decoder reads no other scan than this first one; Malformed if it cannot decode this one."""
    count = body[0] if len(body) else 0
    chosen = {body[at]: body[at + 1] for at in range(1, min(len(body), 1 + 2 * count) - 1, 2)}
    known = len(chosen) == count and chosen.keys() <= frame.components.keys()
    if not 1 <= count <= 4 or len(body) != 4 + 2 * count or not known:
        raise Malformed("a JPEG whose first scan has components that its header lacks")
    components = [frame.components[name] for name in chosen]
    if count > 1 and sum(one.across * one.down for one in components) > _BLOCKS_MAX:
        raise Malformed("a JPEG whose header has sampling factors that no decoder takes")
    sequential = frame.marker in _SEQUENTIAL
    first, last, high, low = body[-3], body[-2], body[-1] >> 4, body[-1] & 15
    if not sequential and not _progresses(first, last, high, low, count):
        raise Malformed("a JPEG whose first scan has a progression that cannot be")
    wanted = {(0, one >> 4) for one in chosen.values()} if sequential or (first == 0 and high == 0) else set()
    if sequential or first:
        wanted |= {(1, one & 15) for one in chosen.values()}
    if not all(huffman.get(one, sequential and one in _STANDARD) for one in wanted):
        raise Malformed("a JPEG whose first scan has no valid Huffman table")
    if not {one.table for one in components} <= quantisation:
        raise Malformed("a JPEG whose first scan has no quantisation table")
    # libjpeg reads further scans only of a progressive frame, or if the first lacks a component (jdinput.c).
    return sequential and count == len(frame.components)


def _progresses(first: int, last: int, high: int, low: int, count: int) -> bool:
    """Whether a decoder takes these parameters of a progressive scan (jdphuff.c)."""
    if first == 0 and last != 0:
        return False
    if first and (not first <= last < 64 or count != 1):
        return False
    return low <= 13 and (high == 0 or low == high - 1)


def is_whole(data: memoryview, start: Head) -> bool:
    """Whether the end marker is present; nearly always it is near the end of the file."""
    near = max(start.scan, len(data) - _TAIL_BYTES)
    return data[-2:] == _END or bool(_ENDS_A_PICTURE.search(data, near) or _ENDS_A_PICTURE.search(data, start.scan))


def picture(data: memoryview, start: Head) -> bytes:
    """The photo as a decoder gets it: the segments that it needs, the scans, and one end marker."""
    kept = ((at, end) for marker, at, end in _segments(data) if _is_needed(marker, data[at + 4 : end]))
    # Only a single scan certainly ends at the first end marker: tables between scans may contain its bytes.
    found = _ENDS_A_PICTURE.search(data, start.scan) if start.single else None
    scan = data[start.scan : found.start() if found else len(data)]
    return b"".join((_START, *(data[at:end] for at, end in kept), scan, _END))


def _is_needed(marker: int, body: memoryview) -> bool:
    if marker in _APP_KEPT:
        identifier, least = _APP_KEPT[marker]
        return len(body) >= least and body[: len(identifier)] == identifier
    return marker in _DECISIVE and marker != _SOS


def scans(data: memoryview, start: Head) -> int:
    """The number of scans that a decoder reads, counted up to `STEPS_MAX`; `start` is the photo's head."""
    if start.single:  # most photos from phones have a single scan; a search costs 1 ms per megabyte
        return 1
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
