"""Reads a multipart/form-data body (RFC 7578, RFC 2046) in one pass, in one buffer, hashing as the bytes arrive.

Pure: bytes come in by `feed`, or without a copy by `room` and `landed`; `finish` returns the parts. The parser takes
within bounds what RFC 2046 allows: a preamble, padding behind a boundary, folded part headers, an epilogue. It is
strict where lenient parsers have caused vulnerabilities: lines end with CRLF, no unknown or repeated part, and a part
is refused as soon as it exceeds its limit. The buffer is the only copy; a part is a range of it. This file does not
know what a photo is.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from email.message import Message
from functools import lru_cache

import msgspec

from .buffers import Buffer

PART_HEAD_BYTES_MAX = 4096
PREAMBLE_BYTES_MAX = 4096  # some clients send a CRLF, mail libraries a sentence; a body without its boundary ends here
PADDING_BYTES_MAX = 256  # "transport padding": blanks between a boundary and its CRLF (RFC 2046, section 5.1.1)
BOUNDARY_CHARS_MAX = 70  # RFC 2046, section 5.1.1
# A longer field, or one with more parameters, is refused without parsing: the time of the RFC 2045 parser grows with
# their product, and no client needs a tenth of these limits.
FIELD_CHARS_MAX = 1024
PARAMETERS_MAX = 16
DISPOSITIONS_MAX = 4  # Content-Disposition lines that are parsed in one part's head
# The part headers of one app are nearly always the same bytes, and parsing them is the most expensive step here.
HEADS_KEPT_MAX = 256
_FOLD = re.compile(rb"\r\n[ \t]+")  # a part header continued on the next line (RFC 822, section 3.1.1)
# The form that every client sends, recognised without the RFC 2045 parser.
_PLAIN_TYPE = re.compile(r"multipart/form-data; boundary=([\w'+,./:?-]{1,70})", re.ASCII)


class BadMultipart(Exception):
    """The body is not valid multipart/form-data; the text says where."""


class PartTooLarge(Exception):
    """A part exceeds its limit; the text names both."""


class Part(msgspec.Struct):
    """A range of the buffer, and the SHA-256 of its bytes."""

    name: str
    start: int
    end: int
    sha256: str


def boundary_of(content_type: str) -> bytes:
    """The boundary of a multipart/form-data content type; BadMultipart."""
    if plain := _PLAIN_TYPE.fullmatch(content_type):
        return plain[1].encode()
    message = _field("Content-Type", content_type)
    boundary = message.get_param("boundary")
    if message.get_content_type() != "multipart/form-data" or not isinstance(boundary, str):
        raise BadMultipart("send multipart/form-data with a boundary")
    if not 0 < len(boundary) <= BOUNDARY_CHARS_MAX or not boundary.isascii():
        raise BadMultipart(f"the boundary must have 1 to {BOUNDARY_CHARS_MAX} ASCII characters")
    return boundary.encode()


def _field(name: str, value: str) -> Message:
    """The parsed field; BadMultipart when parsing would be too expensive."""
    if len(value) > FIELD_CHARS_MAX or value.count(";") > PARAMETERS_MAX:
        raise BadMultipart(f"{name} may have {FIELD_CHARS_MAX} characters and {PARAMETERS_MAX} parameters")
    message = Message()
    message[name] = value
    return message


class MultipartReader:
    """Parser of one body, no longer than its buffer. `bytes_max` has the allowed parts and the limit of each."""

    __slots__ = (
        *("_buffer", "_bytes_max", "_delimiter", "_ended", "_filled", "_hash", "_line", "_opening", "_part", "_parts"),
        *("_position", "_step", "_view"),
    )

    def __init__(self, boundary: bytes, bytes_max: Mapping[str, int], buffer: Buffer) -> None:
        self._opening = b"--" + boundary
        self._delimiter = b"\r\n--" + boundary
        self._bytes_max = bytes_max
        self._buffer = buffer
        self._view = buffer.view
        self._filled = 0
        self._parts: dict[str, Part] = {}
        self._part: Part | None = None  # the part being received
        self._hash: hashlib._Hash  # of that part
        self._position = 0  # everything before this position is parsed
        self._line = 0  # where the line behind the last boundary begins
        # Plain functions: bound methods would be a reference cycle and keep the buffer alive until the next collection.
        self._step: Callable[[MultipartReader], bool] = MultipartReader._open
        self._ended = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body; BadMultipart, PartTooLarge, ValueError when they do not fit the buffer."""
        self._view[self._filled : self._filled + len(data)] = data
        self.landed(len(data))

    def room(self) -> memoryview:
        """The free part of the buffer, for the next bytes of the body."""
        return self._view[self._filled :]

    def landed(self, count: int) -> None:
        """Parse `count` bytes that were written into `room`; BadMultipart, PartTooLarge."""
        self._filled += count
        while self._step(self):
            pass

    def finish(self) -> dict[str, Part]:
        """The parts by name, after the end of the body; BadMultipart when it ended early."""
        if not self._ended:
            raise BadMultipart("the body ends before its last boundary")
        return self._parts

    def data(self, part: Part) -> memoryview:
        """The part's bytes, in the buffer."""
        return self._view[part.start : part.end]

    # Each step consumes something and returns True, or returns False because it needs more bytes.

    def _open(self) -> bool:
        if self._filled < len(self._opening):
            return False
        if self._view[: len(self._opening)] == self._opening:
            self._behind(len(self._opening))
        else:
            self._step = MultipartReader._preamble
        return True

    def _preamble(self) -> bool:
        end = self._buffer.find(self._delimiter, self._position, self._filled)
        # Without a delimiter yet, the last bytes may be the beginning of one: they are left for the next call.
        sure = end if end >= 0 else max(self._position, self._filled - len(self._delimiter) + 1)
        if sure > PREAMBLE_BYTES_MAX:
            raise BadMultipart(f"the body has no boundary in its first {PREAMBLE_BYTES_MAX} bytes")
        self._position = sure
        if end >= 0:
            self._behind(end + len(self._delimiter))
        return end >= 0

    def _behind(self, position: int) -> None:
        """Go on behind a boundary."""
        self._position = self._line = position
        self._step = MultipartReader._after_delimiter

    def _after_delimiter(self) -> bool:
        while self._position < self._filled and self._view[self._position] in b" \t":
            self._position += 1
        padding = self._position - self._line
        if padding > PADDING_BYTES_MAX:
            raise BadMultipart(f"more than {PADDING_BYTES_MAX} blanks follow a boundary")
        if self._filled < self._position + 2:
            return False
        mark = bytes(self._view[self._position : self._position + 2])
        if mark != b"\r\n" and (mark != b"--" or padding):
            raise BadMultipart("something follows a boundary on its line")
        self._position += 2
        self._ended = mark == b"--"
        self._step = MultipartReader._epilogue if self._ended else MultipartReader._head
        return True

    def _epilogue(self) -> bool:
        return False  # ignored (RFC 2046, 5.1.1); the body's length is limited elsewhere

    def _head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n", self._position, self._filled)
        # Without an end yet, the last three bytes may be the beginning of it: they do not count as head.
        if (end if end >= 0 else self._filled - 3) - self._position > PART_HEAD_BYTES_MAX:
            raise BadMultipart(f"the headers of a part have more than {PART_HEAD_BYTES_MAX} bytes")
        if end < 0:
            return False
        name = _name_in(bytes(self._view[self._position : end]))
        if name not in self._bytes_max:
            raise BadMultipart(f"unknown part {name[:100]!r}; send {', '.join(self._bytes_max)}")
        if name in self._parts:
            raise BadMultipart(f"part {name} comes twice")
        self._position = end + 4
        self._part = Part(name, self._position, self._position, "")
        self._hash = hashlib.sha256()
        self._step = MultipartReader._body
        return True

    def _body(self) -> bool:
        part = self._part
        assert part is not None  # noqa: S101 - _head came before
        end = self._buffer.find(self._delimiter, self._position, self._filled)
        # Without a delimiter yet, the last bytes may be the beginning of one: they are left for the next call.
        sure = end if end >= 0 else max(self._position, self._filled - len(self._delimiter) + 1)
        if sure - part.start > self._bytes_max[part.name]:
            raise PartTooLarge(f"part {part.name} has more than {self._bytes_max[part.name]} bytes")
        self._hash.update(self._view[self._position : sure])
        self._position = sure
        if end < 0:
            return False
        part.end, part.sha256 = end, self._hash.hexdigest()
        self._parts[part.name] = part
        self._behind(end + len(self._delimiter))
        return True


@lru_cache(maxsize=HEADS_KEPT_MAX)
def _name_in(head: bytes) -> str:
    """The part's name from its Content-Disposition."""
    seen = 0
    for line in _FOLD.sub(b" ", head).split(b"\r\n"):
        field, _, value = line.partition(b":")
        if field.strip().lower() == b"content-disposition":
            seen += 1
            if seen > DISPOSITIONS_MAX:
                break
            message = _field("Content-Disposition", value.decode("utf-8", "replace").strip())
            name = message.get_param("name", header="content-disposition")
            if message.get_content_disposition() == "form-data" and isinstance(name, str):
                return name
    raise BadMultipart("a part has no Content-Disposition: form-data with a name")
