"""The headers of a picture in AV1 (AV1 bitstream specification, 5.3 to 5.9): its size, its colours, and that it is one.

Pure. Read are the sequence header and the start of the frame header; the pictures of a sequence may be smaller than it
says, but no encoder of photos makes them so. Tiles are not read.
"""

from functools import lru_cache

from .coded import UNITS_MAX, Bits, Coded, Unreadable

_SEQUENCE, _FRAME_HEADER, _FRAME = 1, 3, 6
_READ_BYTES = 256  # of a header: more than what precedes the numbers that are read here
_LEB128_BYTES = 8
REMEMBERED_MAX = 256
_SELECT = 2  # a frame says whether a tool is used
_SRGB = (1, 13, 0)  # code points of RGB, which imply full range without subsampling


class _Sequence:
    """A sequence header (5.5)."""

    def __init__(self, data: bytes) -> None:
        bits = Bits(data)
        self.profile = bits.number(3)
        bits.flag()
        self.still = bits.flag()
        self.timing_bits = 0  # of a frame's presentation time
        if self.still:
            bits.number(5)
        else:
            self._operating_points(bits)
        across, down = bits.number(4) + 1, bits.number(4) + 1
        self.width, self.height = bits.number(across) + 1, bits.number(down) + 1
        self.id_bits = 0
        if not self.still and bits.flag():
            shorter = bits.number(4) + 2
            self.id_bits = shorter + bits.number(3) + 1
        bits.number(3)
        self.screen_content = self.integer_motion = _SELECT
        if not self.still:
            self._tools(bits)
        bits.number(3)
        self._colours(bits)

    def _operating_points(self, bits: Bits) -> None:
        delay_bits = 0
        if bits.flag():  # timing
            bits.number(64)
            equal = bits.flag()
            if equal:
                bits.golomb()
            if bits.flag():  # decoder model
                delay_bits = bits.number(5) + 1
                bits.number(32 + 5)
                self.timing_bits = bits.number(5) + 1
                self.timing_bits *= not equal
        delayed = bits.flag()
        for _ in range(bits.number(5) + 1):
            bits.number(12)
            if bits.number(5) > 7:
                bits.flag()
            if delay_bits and bits.flag():
                bits.number(2 * delay_bits + 1)
            if delayed and bits.flag():
                bits.number(4)

    def _tools(self, bits: Bits) -> None:
        bits.number(4)
        ordered = bits.flag()
        bits.number(2 * ordered)
        self.screen_content = _SELECT if bits.flag() else bits.number(1)
        if self.screen_content and not bits.flag():
            self.integer_motion = bits.number(1)
        bits.number(3 * ordered)

    def _colours(self, bits: Bits) -> None:
        deep = bits.flag()
        self.depth = 8 + 2 * deep + 2 * (self.profile == 2 and deep and bits.flag())
        self.mono = self.profile != 1 and bits.flag()
        self.code_points = (bits.number(8), bits.number(8), bits.number(8)) if bits.flag() else (2, 2, 2)
        self.across = self.down = self.profile == 0 or self.mono
        if not self.mono and self.code_points == _SRGB:
            self.full_range, self.across, self.down = True, False, False
            return
        self.full_range = bits.flag()
        if self.profile == 2 and not self.mono:
            self.across = bits.flag() if self.depth == 12 else True
            self.down = self.depth == 12 and self.across and bits.flag()


# The tiles of a grid have the same sequence header, and so have photos of one kind of phone.
@lru_cache(REMEMBERED_MAX)
def _sequence(header: bytes) -> _Sequence:
    return _Sequence(header)


def picture(config: memoryview, data: memoryview) -> Coded:
    """What the headers of an item say, given its `av1C` box; Unreadable."""
    try:
        return _picture(config, data)
    except (ValueError, IndexError) as error:
        raise Unreadable from error


def _picture(config: memoryview, data: memoryview) -> Coded:
    sequence, frames, units, at, header = None, 0, 0, 0, b""
    while at < len(data):
        units += 1
        kind, start, at = _unit(data, at)
        if units > UNITS_MAX or at > len(data):
            raise ValueError("a unit is cut off")
        body = bytes(data[start : min(at, start + _READ_BYTES)])
        if kind == _SEQUENCE:
            if sequence is not None and body != header:
                raise ValueError("two sequences")
            sequence, header = _sequence(body), body
        elif kind in {_FRAME, _FRAME_HEADER}:
            frames += 1
            if sequence is None or not _is_whole_size(body, sequence):
                raise ValueError("a frame that is no picture of its own, or of another size")
    if sequence is None or frames != 1 or not _matches(config, sequence):
        raise ValueError("no picture, several, or other ones than the file says")
    look = (sequence.depth, sequence.mono, sequence.across, sequence.down, sequence.full_range, *sequence.code_points)
    return Coded(
        sequence.width,
        sequence.height,
        units,
        look,
        sequence.code_points,
        (sequence.across and not sequence.mono, sequence.down and not sequence.mono),
        sequence.full_range,
    )


def _unit(data: memoryview, at: int) -> tuple[int, int, int]:
    """The kind of an OBU, the start of its content and its end (5.3.2)."""
    head = data[at]
    at += 2 if head & 4 else 1
    if not head & 2:
        return head >> 3 & 15, at, len(data)
    size = 0
    for shift in range(_LEB128_BYTES):
        byte = data[at]
        at += 1
        size |= (byte & 127) << 7 * shift
        if byte < 128:
            return head >> 3 & 15, at, at + size
    raise ValueError("a length that is too long")


def _is_whole_size(header: bytes, sequence: _Sequence) -> bool:
    """Whether a frame is shown, needs no other one, and has the size of its sequence (5.9.2)."""
    if sequence.still:
        return True
    bits = Bits(header)
    shown_again, kind, shown = bits.flag(), bits.number(2), bits.flag()
    if shown_again or kind or not shown:
        return False
    bits.number(sequence.timing_bits + 1)
    screen_content = bits.flag() if sequence.screen_content == _SELECT else sequence.screen_content
    if screen_content and sequence.integer_motion == _SELECT:
        bits.flag()
    bits.number(sequence.id_bits)
    return not bits.flag()


def _matches(config: memoryview, sequence: _Sequence) -> bool:
    """Whether the `av1C` box has the depth and the planes of the sequence; Pillow relies on it."""
    deep, twelve, mono = (bool(config[2] & 1 << bit) for bit in (6, 5, 4))
    depth = 12 if twelve else 10 if deep else 8
    return (depth, mono) == (sequence.depth, sequence.mono)
