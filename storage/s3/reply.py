"""Reads one HTTP/1.1 answer of a store, in whatever legal framing it comes (RFC 9112, section 6.3), strictly.

A body ends after Content-Length bytes, after its last chunk, or with the connection; an answer to HEAD, a 204 and a 304
have none. Interim answers (1xx) are skipped, chunk extensions and trailers are read and dropped. An answer with two
framings, a bare LF, a malformed field or a byte too many is refused, because it could be taken for another one.
Everything has a bound. Pure: bytes come in, `said` is set when the answer is complete.
"""

import re
from typing import Final

import msgspec

HEAD_BYTES_MAX: Final = 64 * 1024  # with the interim answers before it
LINE_BYTES_MAX: Final = 4096  # a chunk's size with its extensions, or a trailer
TRAILER_LINES_MAX: Final = 64
BODY_BYTES_MAX: Final = 2**30
TEXT_BYTES_MAX: Final = 64 * 1024  # of an answer that ends with the connection: it can be an error text only

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_FIELD: Final = rb"%b++:[^\x00-\x08\x0a-\x1f\x7f]*+" % _TOKEN
_HEAD: Final = re.compile(
    rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\x00-\x08\x0a-\x1f\x7f]*+)?\r\n((?:%b\r\n)*+)" % _FIELD
)
_FRAMING: Final = re.compile(rb"(?:^|\n)(content-length|transfer-encoding|connection):([^\r]*)", re.IGNORECASE)
_LENGTH: Final = re.compile(rb"[0-9]{1,10}")
_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})(?:[ \t]*;[^\x00-\x08\x0a-\x1f\x7f]*)?")
_TRAILER: Final = re.compile(_FIELD)
_START: Final = b"HTTP/1."


class Said(msgspec.Struct, frozen=True):
    """Status, head and body; not `measured`: the body ended with the connection, so it may have been cut off."""

    status: int
    head: bytes
    body: bytes
    measured: bool


class Reply:
    """One answer while it arrives; `said` is set once it is complete. An answer to HEAD never has a body."""

    __slots__ = ("_body", "_expects", "_fields", "_head_only", "_left", "_lines", "_raw", "_size", "keeps", "said")

    def __init__(self, *, head_only: bool) -> None:
        self._head_only = head_only
        self._raw = b""  # an incomplete head, or an incomplete chunk line
        self._fields = b""  # the whole head, once it is complete
        self._body: list[bytes] = []
        self._size = 0  # bytes of the body so far
        self._left = 0  # bytes still to come: of the body, or of a chunk
        self._lines = 0  # of the trailer
        self._expects = "head"  # then: bytes (counted), text (until the end), or size, payload, end, trailer (chunked)
        self.keeps = False  # whether the connection is good for another request
        self.said: Said | None = None

    def take(self, data: bytes) -> None:
        """Take the next bytes; ConnectionError when they are no valid answer, or more than one."""
        if self._expects == "head":
            data = self._head(data)
            if self._expects == "head":
                return
        if self._expects in {"bytes", "text"}:
            self._unchunked(data)
        else:
            self._chunks(data)

    def ended(self) -> None:
        """The connection ended, which also ends an answer without a length."""
        if self._expects == "text" and self.said is None:
            self._finish(measured=False)

    def _finish(self, *, measured: bool) -> None:
        status = int(self._fields[9:12])
        self.said = Said(status, self._fields, b"".join(self._body), measured)

    def _head(self, data: bytes) -> bytes:
        """The bytes after the head, once it is complete."""
        self._raw += data
        while (end := self._raw.find(b"\r\n\r\n") + 4) > 3:
            head = _HEAD.fullmatch(self._raw, 0, end - 2)
            if head is None:
                break
            self._fields, self._raw = self._raw[:end], self._raw[end:]
            if head[2][:1] != b"1":  # else an interim answer
                self._frame(int(head[2]), head[3], old=head[1] == b"0")
                rest, self._raw = self._raw, b""
                return rest
        # What cannot become a head is not waited for.
        if end > 3 or len(self._raw) > HEAD_BYTES_MAX or not _START.startswith(self._raw[: len(_START)]):
            raise ConnectionError("the store's answer is not HTTP/1.1")
        return b""

    def _frame(self, status: int, fields: bytes, *, old: bool) -> None:
        """Decide how the body ends (RFC 9112, section 6.3); `old`: HTTP/1.0."""
        found: dict[bytes, list[bytes]] = {b"content-length": [], b"transfer-encoding": [], b"connection": []}
        for name, value in _FRAMING.findall(fields):
            found[name.lower()].append(value.strip(b" \t").lower())
        lengths, codings, options = found.values()
        known = not codings and (not lengths or (len(lengths) == 1 and _LENGTH.fullmatch(lengths[0])))
        if not known and (codings != [b"chunked"] or lengths or old):
            raise ConnectionError("the store's answer has an unknown framing")
        if self._head_only or status in {204, 304}:
            self._expects = "bytes"
        elif codings:
            self._expects = "size"
        elif lengths:
            self._expects, self._left = "bytes", int(lengths[0])
        else:
            self._expects = "text"
        if self._left > BODY_BYTES_MAX:
            raise ConnectionError(f"the store's answer has more than {BODY_BYTES_MAX} bytes")
        self.keeps = (
            self._expects != "text" and not old and b"close" not in b",".join(options).replace(b" ", b"").split(b",")
        )

    def _keep(self, data: bytes, most: int = BODY_BYTES_MAX) -> None:
        self._body.append(data)
        self._size += len(data)
        if self._size > most:
            raise ConnectionError(f"the store's answer has more than {most} bytes")

    def _unchunked(self, data: bytes) -> None:
        """Take bytes of a body that is counted, or ends with the connection."""
        if self._expects == "text":
            self._keep(data, TEXT_BYTES_MAX)
            return
        self._body.append(data)
        self._left -= len(data)
        if self._left < 0:
            raise ConnectionError("the store sent more than it announced")
        if not self._left:
            self._finish(measured=True)

    def _chunks(self, data: bytes) -> None:
        """Take bytes of a chunked body (RFC 9112, section 7.1)."""
        data, at = self._raw + data, 0
        while self.said is None and at < len(data):
            if self._expects == "payload":
                piece = data[at : at + self._left]
                self._keep(piece)
                at += len(piece)
                self._left -= len(piece)
                self._expects = "payload" if self._left else "end"
                continue
            end = data.find(b"\n", at, at + LINE_BYTES_MAX)
            if end < 0 and len(data) - at < LINE_BYTES_MAX:
                break
            if end <= at or data[end - 1 : end] != b"\r":
                raise ConnectionError("a chunk line of the store's answer is too long, or does not end with CRLF")
            self._chunk_line(data[at : end - 1])
            at = end + 1
        self._raw = data[at:]
        if self.said is not None and self._raw:
            raise ConnectionError("the store sent more than its answer")

    def _chunk_line(self, line: bytes) -> None:
        """Take a size, the end of a chunk's payload, or a line of the trailer."""
        size = _SIZE.fullmatch(line) if self._expects == "size" else None
        if size is not None:
            self._left = int(size[1], 16)
            self._expects = "payload" if self._left else "trailer"
        elif self._expects == "end" and not line:
            self._expects = "size"
        elif self._expects == "trailer" and not line:
            self._finish(measured=True)
        elif self._expects == "trailer" and self._lines < TRAILER_LINES_MAX and _TRAILER.fullmatch(line):
            self._lines += 1
        else:
            raise ConnectionError("the chunks of the store's answer are malformed")
