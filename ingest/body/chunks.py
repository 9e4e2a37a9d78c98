"""Takes the chunks off a body (RFC 9112, section 7.1), strictly; extensions and trailers are dropped.

Pure. The payload comes out as views of what was fed, without a copy. `lb/http1/body.py` does the same for the balancer;
neither package may import the other.
"""

import re
from typing import Final

LINE_BYTES_MAX: Final = 256  # a size of 15 hex digits and a short extension
TRAILER_BYTES_MAX: Final = 8192
COARSE_BYTES_MIN: Final = 4096  # on average; the payload of smaller chunks is joined
LAST_BYTES: Final = len(b"\r\n0\r\n\r\n")  # what follows the payload of any chunk at least
_CRLF: Final = memoryview(b"\r\n")
# The size of a chunk, alone on its line as nearly everybody writes it.
_PLAIN: Final = re.compile(rb"([0-9A-Fa-f]{1,15}+)\r\n")
_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,15}+)(?:[ \t]*+;[^\x00-\x08\x0a-\x1f\x7f]*+)?+")
_TRAILER: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[^\x00-\x08\x0a-\x1f\x7f]*+")


class BadChunks(Exception):
    """The body is not framed as chunks; the text says where."""


class Chunks:
    """One chunked body; `done` once its last byte was fed, `rest` the bytes after it (the next request).

    `left` bytes of the current chunk's payload are still to come. `coarse`: the last chunks were large, so that a large
    read of them is little work.
    """

    __slots__ = ("_expects", "_trailer", "_unparsed", "coarse", "done", "left", "rest")

    def __init__(self) -> None:
        self.done = self.coarse = False
        self.left = 0
        self.rest = b""
        self._unparsed = b""
        self._trailer = 0
        self._expects = "size"  # size or trailer line, or the end of a chunk

    @property
    def due(self) -> int:
        """At least so many bytes are still to come."""
        return self.left + LAST_BYTES if self.left else 1

    def skip(self, count: int) -> None:
        """Of the current chunk's payload `count` bytes were read elsewhere."""
        self.left -= count

    def feed(self, data: memoryview) -> list[memoryview]:
        """The payload in the next bytes, in large pieces; BadChunks."""
        pieces = self._pieces(data)
        size = sum(map(len, pieces))
        self.coarse = size >= COARSE_BYTES_MIN * len(pieces) > 0
        return pieces if self.coarse or len(pieces) < 2 else [memoryview(b"".join(pieces))]

    def _pieces(self, data: memoryview) -> list[memoryview]:
        if self._unparsed:
            data, self._unparsed = memoryview(self._unparsed + data), b""
        pieces: list[memoryview] = []
        at, end = 0, len(data)
        while at < end and not self.done:
            if self.left:
                piece = data[at : at + self.left]
                pieces.append(piece)
                self.left -= len(piece)
                at += len(piece)
                continue
            while self._expects == "size" and (found := _PLAIN.match(data, at)) and (size := int(found[1], 16)):
                start = found.end()
                stop = start + size
                if data[stop : stop + 2] != _CRLF:
                    self.left, self._expects, at = size, "end", start
                    break
                pieces.append(data[start:stop])  # a whole chunk, as nearly all are
                at = stop + 2
            if self.left or at >= end:
                continue
            line = self._line(data, at)
            if line is None:
                self._unparsed = bytes(data[at:])
                return pieces
            at += len(line) + 2
            self._take(line)
        if self.done:
            self.rest = bytes(data[at:])
        return pieces

    def _line(self, data: memoryview, at: int) -> bytes | None:
        """The line without its CRLF, or None while it is not complete."""
        most = TRAILER_BYTES_MAX if self._expects == "trailer" else LINE_BYTES_MAX
        start = bytes(data[at : at + most])
        end = start.find(b"\n")
        if end < 0 and len(start) < most:
            return None
        if end < 1 or start[end - 1] != 13:
            raise BadChunks("a chunk line is too long, or does not end with CRLF")
        return start[: end - 1]

    def _take(self, line: bytes) -> None:
        if self._expects == "end":
            if line:
                raise BadChunks("a chunk is longer than its size")
            self._expects = "size"
        elif self._expects == "size":
            size = _SIZE.fullmatch(line)
            if size is None:
                raise BadChunks("a chunk size is malformed")
            self.left = int(size[1], 16)
            self._expects = "end" if self.left else "trailer"
        elif not line:
            self.done = True
        else:
            self._trailer += len(line) + 2
            if self._trailer > TRAILER_BYTES_MAX or not _TRAILER.fullmatch(line):
                raise BadChunks("the trailer is malformed or too long")
