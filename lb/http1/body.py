"""Where a body ends: four framings that count or re-frame bytes, and keep no whole piece back.

Bodies pass uncopied, as bytes or as views of the read buffer. Chunked bodies are checked and framed again, one chunk
for each read: extensions and trailers are dropped, so that a node never parses a chunk line that a client wrote. Pure;
malformed bodies raise BodyError.
"""

import re
from collections.abc import Callable
from typing import Protocol

LINE_BYTES_MAX = 256  # A chunk-size line: 15 hex digits and a short extension.
TRAILER_BYTES_MAX = 8192  # Trailers are dropped, so they may not become a second body.
# The next pattern with possessive quantifiers, for lines of the usual length: it cannot backtrack.
_SHORT_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15}+)(?:[ \t]{0,9}+;[^\x00-\x08\x0a-\x1f\x7f]{0,99}+)?+\r\n")
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[^\x00-\x08\x0a-\x1f\x7f]*)?")
_TRAILER_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\x00-\x08\x0a-\x1f\x7f]*")

# Chunks of this size on average are coarse: their payload is not copied, and more of them is read at once.
COARSE_BYTES_MIN = 4096
# Pieces that leave by one system call are joined first up to this size; above it the copy costs more than a vector.
JOINED_BYTES_MAX = 32768
LAST_BYTES = len(b"\r\n0\r\n\r\n")  # What follows the payload of any chunk at least.

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

    States: the line with a chunk's size, its payload, the CRLF after it, and the trailer lines after the last chunk.
    `coarse`: the chunks are large, so that a large read of them is little work.
    """

    __slots__ = ("_left", "_reframe", "_size", "_state", "_trailer", "_unparsed", "coarse", "done", "rest")

    def __init__(self, *, reframe: bool = True) -> None:
        self.done = self.coarse = False
        self.rest: Piece = b""
        self._reframe = reframe
        self._unparsed = b""
        self._left = 0
        self._trailer = 0
        self._state: Callable[[Piece, int, list[Piece]], int] = self._size_line

    @property
    def left(self) -> int:
        """At least so many bytes are still to come."""
        return self._left + LAST_BYTES if self._left else 1

    def feed(self, data: Piece) -> Piece | list[Piece]:
        """Check the chunks in `data` and return their payload as one chunk, however small they were."""
        pieces: list[Piece] = []
        if self._unparsed:
            data, self._unparsed = self._unparsed + data, b""
        position = 0
        while not self.done and position < len(data):
            if self._state == self._size_line:
                position = self._whole_chunks(data, position, pieces)
            taken = self._state(data, position, pieces)
            if not taken:
                self._unparsed = bytes(data[position:])
                break
            position += taken
        if self.done:
            self.rest = data[position:]
        size = sum(map(len, pieces))
        self.coarse = size >= COARSE_BYTES_MIN * len(pieces) > 0
        return self._framed(pieces, size) if self._reframe else b"".join(pieces)

    def _framed(self, pieces: list[Piece], size: int) -> bytes | list[Piece]:
        end = b"0\r\n\r\n" if self.done else b""
        if not size:
            return end
        if size > JOINED_BYTES_MAX and self.coarse:
            return [b"%x\r\n" % size, *pieces, b"\r\n" + end]
        return b"%x\r\n%b\r\n%b" % (size, b"".join(pieces), end)

    @staticmethod
    def _whole_chunks(data: Piece, position: int, pieces: list[Piece]) -> int:
        """Take the complete chunks at once; the states take what follows them."""
        while found := _SHORT_SIZE_LINE.match(data, position):
            start, size = found.end(), int(found[1], 16)
            end = start + size
            if not size or data[end : end + 2] != b"\r\n":
                break
            pieces.append(data[start:end])
            position = end + 2
        return position

    def _line(self, data: Piece, position: int, limit: int) -> bytes | None:
        """The line at position without its CRLF, or None while it is not complete."""
        line = bytes(data[position : position + limit])
        end = line.find(b"\n")
        if end < 0:
            if len(data) - position >= limit:
                raise BodyError("a chunk line is too long")
            return None
        if line[:end][-1:] != b"\r":
            raise BodyError("a chunk line ends with a bare LF")
        return line[: end - 1]

    def _size_line(self, data: Piece, position: int, _: list[Piece]) -> int:
        line = self._line(data, position, LINE_BYTES_MAX)
        if line is None:
            return 0
        size = _SIZE_LINE.fullmatch(line)
        if size is None:
            raise BodyError("a chunk size is malformed")
        self._left = int(size[1], 16)
        self._state = self._payload if self._left else self._trailer_line
        return len(line) + 2

    def _payload(self, data: Piece, position: int, pieces: list[Piece]) -> int:
        piece = data[position : position + self._left]
        self._left -= len(piece)
        if not self._left:
            self._state = self._payload_end
        pieces.append(piece)
        return len(piece)

    def _payload_end(self, data: Piece, position: int, _: list[Piece]) -> int:
        end = bytes(data[position : position + 2])
        if not b"\r\n".startswith(end):
            raise BodyError("a chunk is longer than its size")
        if len(end) < 2:
            return 0
        self._state = self._size_line
        return 2

    def _trailer_line(self, data: Piece, position: int, _: list[Piece]) -> int:
        line = self._line(data, position, TRAILER_BYTES_MAX)
        if line is None:
            return 0
        self._trailer += len(line) + 2
        if self._trailer > TRAILER_BYTES_MAX or (line and not _TRAILER_LINE.fullmatch(line)):
            raise BodyError("the trailer is malformed or too long")
        if not line:
            self.done = True
        return len(line) + 2
