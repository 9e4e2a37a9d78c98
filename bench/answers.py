"""Answers of HTTP/1.1 as the reference client reads them: status, fields, content (RFC 9112, 6 and 7.1).

Only what a phone's upload needs; `connections` knows the sockets.
"""

import re
from typing import Final

import msgspec

STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})[ \r]")
NO_BODY: Final = frozenset({204, 304})


class NoAnswer(ConnectionError):
    """The connection ended before the answer did, or what came is no answer."""


class Response(msgspec.Struct, frozen=True):
    """An answer; the names of its headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes
    kept: bool  # whether the server keeps the connection open


def fields(head: bytes) -> dict[str, str]:
    """The headers of an answer, names in lower case; of a repeated one the last."""
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def content(status: int, headers: dict[str, str], data: memoryview, *, ended: bool) -> bytes | None:
    """The body of an answer (RFC 9112, 6.3); None when it is not whole yet, NoAnswer when it never will be."""
    if status in NO_BODY:
        return b""
    if "transfer-encoding" in headers:
        return chunked(bytes(data))
    length = headers.get("content-length")
    if length is None:
        # Without a length the end of the connection is the end of the body.
        return bytes(data) if ended else None
    if not (length.isascii() and length.isdigit()):
        raise NoAnswer(f"Content-Length: {length}")
    return bytes(data[: int(length)]) if len(data) >= int(length) else None


def chunked(data: bytes) -> bytes | None:
    """The content of a chunked body (RFC 9112, 7.1); None when its last chunk has not come."""
    # From the begin each time: an answer to an upload is a few hundred bytes.
    parts: list[bytes] = []
    while True:
        line, found, data = data.partition(b"\r\n")
        if not found:
            return None
        try:
            size = int(line.partition(b";")[0], 16)
        except ValueError as error:
            raise NoAnswer(f"not the size of a chunk: {line[:20]!r}") from error
        if size == 0:
            return b"".join(parts)
        if len(data) < size + 2:
            return None
        parts.append(data[:size])
        data = data[size + 2 :]
