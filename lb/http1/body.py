"""Where a body ends: four framings that count or re-frame bytes, and keep no whole piece back.

Bodies pass uncopied, as bytes or as views of the read buffer. Of a chunked body every line is checked. A large chunk
passes as it came if its line is plain, a size in hexadecimal digits and nothing else; runs of small chunks become one.
All other lines are written anew, without extensions, and trailers are dropped: a node parses plain lines alone. Pure;
malformed bodies raise BodyError.
"""

import re
from typing import Protocol

# Pieces that leave by one system call are joined first up to this size; above it the copy costs more than a vector.
JOINED_BYTES_MAX = 32768
CRLF = b"\r\n"
LINE_BYTES_MAX = 256  # A chunk-size line: 15 hex digits and a short extension.
TRAILER_BYTES_MAX = 8192  # Trailers are dropped, so they may not become a second body.
LARGE_BYTES_MIN = 1024  # Smaller chunks are joined, so that a node parses one line instead of many.
# Plain, of a large chunk, without leading zeros and below 256 MiB: no reader of HTTP takes it for anything else.
_LARGE_LINE = re.compile(rb"([4-9A-Fa-f][0-9A-Fa-f]{2}|[1-9A-Fa-f][0-9A-Fa-f]{3,6}+)\r\n")
_NEXT_LARGE_LINE = re.compile(CRLF + _LARGE_LINE.pattern)  # Behind the payload of a chunk.
# `_SIZE_LINE` with possessive quantifiers, for lines of the usual length: it cannot backtrack.
_SHORT_LINE = re.compile(rb"([0-9A-Fa-f]{1,15}+)(?:[ \t]{0,9}+;[^\x00-\x08\x0a-\x1f\x7f]{0,99}+)?+\r\n")
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[^\x00-\x08\x0a-\x1f\x7f]*)?")
_TRAILER_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\x00-\x08\x0a-\x1f\x7f]*")

COARSE_BYTES_MIN = 256  # On average. Every chunk is work: of smaller ones less is read at once.
LAST = b"0\r\n\r\n"  # The last chunk, without trailers.
ENDED = CRLF + LAST  # Behind the last payload.

Piece = bytes | memoryview


class BodyError(Exception):
    """The body is not framed as its head said."""


class Framing(Protocol):
    """The framing of one body; `done` once its end was fed, `rest` the bytes after it (a pipelined request).

    `left`: at least so many bytes are still to come; 1 where that is not known.
    """

    done: bool
    rest: Piece

    @property
    def left(self) -> int:
        """The least number of bytes that are still to come; 1 where the framing does not tell."""

    def feed(self, data: Piece) -> Piece | list[Piece]:
        """Take the next bytes and return the bytes to send, in one piece or several; raises BodyError."""


class Nothing:
    """No body: all bytes belong to the next message."""

    done = True
    rest: bytes | memoryview = b""
    left = 1

    def feed(self, data: bytes | memoryview) -> bytes:
        """Keep the bytes as `rest`."""
        self.rest = data
        return b""


class Counted:
    """A body with a Content-Length; `left` bytes of it are still to come."""

    __slots__ = ("done", "left", "rest")

    def __init__(self, length: int) -> None:
        self.left = length
        self.done = length == 0
        self.rest: bytes | memoryview = b""

    def feed(self, data: bytes | memoryview) -> bytes | memoryview:
        """Count the bytes; only the last piece may have to be cut."""
        left = self.left - len(data)
        if left > 0:
            self.left = left
            return data
        self.done = True
        cut, self.left = self.left, 0
        if left == 0:
            return data
        self.rest = data[cut:]
        return data[:cut]


class UntilClose:
    """A body that ends with its connection."""

    done = False
    rest: bytes | memoryview = b""
    left = 1

    def feed(self, data: bytes | memoryview) -> bytes | memoryview:
        """Return the bytes unchanged: only the end of the connection ends the body."""
        return data


class Chunked:
    """A chunked body; with `reframe` false its payload without chunks, for HTTP/1.0 clients.

    Between two calls the receiver is at the same place as the sender: at the start of a line, or `_open` bytes before
    the end of a chunk, whose CRLF counts. Of lines whose end has not come, the start is kept.
    `coarse`: the chunks are not tiny, so that a large read of them is little work.
    """

    __slots__ = ("_mark", "_open", "_reframe", "_size", "_trailer", "_unparsed", "coarse", "done", "rest")

    def __init__(self, *, reframe: bool = True) -> None:
        self.done = self.coarse = False
        self.rest: Piece = b""
        self._reframe = reframe
        self._unparsed = b""
        self._open = 0
        self._mark, self._size = b"\r\n400\r\n", 0x400  # The last plain line, and its size; at first any.
        self._trailer = -1  # Bytes of trailer lines; -1 before the last chunk.

    @property
    def left(self) -> int:
        """At least so many bytes are still to come."""
        return self._open + len(LAST) if self._open else 1

    def feed(self, data: Piece) -> Piece | list[Piece]:
        """Check the chunks in `data` and return them: the large ones as they came, runs of small ones as one."""
        if self._unparsed:
            data, self._unparsed = self._unparsed + data, b""
        self.coarse = True
        out: list[Piece] = []
        at, size = 0, len(data)
        while at < size and not self.done:
            start = at
            at = self._as_it_came(data, at) if self._reframe else self._bare(data, at, out)
            if self._reframe and at > start:
                out.append(data if at - start == size else data[start:at])
            if at < size and not self.done:
                taken = self._anew(data, at, out)
                if not taken:
                    self._unparsed = bytes(data[at:])
                    break
                at += taken
        if self.done:
            self.rest = data[at:]
        return out[0] if len(out) == 1 else out or b""

    def _as_it_came(self, data: Piece, at: int) -> int:
        """Check the rest of an open chunk, large chunks, and the end of the body; returns where they end."""
        if self._open > len(CRLF):
            end = at + self._open - len(CRLF)
        else:
            at = self._close(data, at) if self._open else at
            found = None if self._open or self._trailer >= 0 else _LARGE_LINE.match(data, at)
            if found is None:
                self.done = self._trailer < 0 and data[at : at + len(LAST)] == LAST
                return at + len(LAST) if self.done else at
            self._mark, self._size = CRLF + found[0], int(found[1], 16)
            end = found.end() + self._size
        end, size = self._large(data, end), len(data)
        if end >= size:
            self._open = end + len(CRLF) - size
            return size
        if data[end : end + len(ENDED)] == ENDED:
            self._open, self.done = 0, True
            return end + len(ENDED)
        self._open = len(CRLF)
        return self._close(data, end)

    def _large(self, data: Piece, end: int) -> int:
        """Take large chunks as long as they follow each other, from the end of a payload to the end of another."""
        mark, size = self._mark, self._size
        while True:
            width = len(mark)
            # Nearly all senders write chunks of one size. To compare is a third of parsing and finds the same.
            while data[end : end + width] == mark:
                end += width + size
            following = _NEXT_LARGE_LINE.match(data, end)
            if following is None:
                self._mark, self._size = mark, size
                return end
            mark, size = following[0], int(following[1], 16)
            end = following.end() + size

    def _bare(self, data: Piece, start: int, out: list[Piece]) -> int:
        """Pass the rest of an open chunk's payload; returns where the chunk ends."""
        if not self._open:
            return start
        if self._open > len(CRLF):
            out.append(data[start : start + self._open - len(CRLF)])
        return self._close(data, start)

    def _close(self, data: Piece, start: int) -> int:
        """Take the rest of the open chunk, as far as it has come; returns where that ends."""
        end = start + self._open
        tail = max(start, end - len(CRLF))
        if not CRLF[tail - end :].startswith(bytes(data[tail:end])):
            raise BodyError("a chunk is longer than its size")
        self._open = max(0, end - len(data))
        return end - self._open

    def _anew(self, data: Piece, start: int, out: list[Piece]) -> int:
        """Write other lines anew, and complete small chunks as one; returns how many bytes that takes, 0 for a part."""
        if self._trailer >= 0:
            return self._trailer_line(data, start, out)
        pieces: list[Piece] = []
        at = start
        while (found := _SHORT_LINE.match(data, at)) and 0 < (size := int(found[1], 16)) < LARGE_BYTES_MIN:
            end = found.end() + size
            if data[end : end + 2] != CRLF:
                break
            pieces.append(data[found.end() : end])
            at = end + 2
        self.coarse = self.coarse and len(pieces) * COARSE_BYTES_MIN <= at - start
        if not pieces:
            return self._size_line(data, start, out)
        payload = b"".join(pieces)
        out.append(b"%x\r\n%b\r\n" % (len(payload), payload) if self._reframe else payload)
        return at - start

    def _line(self, data: Piece, at: int, limit: int) -> bytes | None:
        """The line without its CRLF, or None while it is not complete."""
        line = bytes(data[at : at + limit])
        end = line.find(b"\n")
        if end < 0:
            if len(line) >= limit:
                raise BodyError("a chunk line is too long")
            return None
        if line[:end][-1:] != b"\r":
            raise BodyError("a chunk line ends with a bare LF")
        return line[: end - 1]

    def _size_line(self, data: Piece, at: int, out: list[Piece]) -> int:
        line = self._line(data, at, LINE_BYTES_MAX)
        if line is None:
            return 0
        found = _SIZE_LINE.fullmatch(line)
        if found is None:
            raise BodyError("a chunk size is malformed")
        if size := int(found[1], 16):
            self._open = size + len(CRLF)
            if self._reframe:
                out.append(b"%x\r\n" % size)
        else:
            self._trailer = 0
        return len(line) + len(CRLF)

    def _trailer_line(self, data: Piece, at: int, out: list[Piece]) -> int:
        line = self._line(data, at, TRAILER_BYTES_MAX)
        if line is None:
            return 0
        self._trailer += len(line) + len(CRLF)
        if self._trailer > TRAILER_BYTES_MAX or (line and not _TRAILER_LINE.fullmatch(line)):
            raise BodyError("the trailer is malformed or too long")
        if not line:
            self.done = True
            if self._reframe:
                out.append(LAST)
        return len(line) + len(CRLF)
