"""Where the records of a TLS connection end, from the bytes as they come; nothing is decrypted here. Pure.

A record is five bytes of header, which end with the length of the rest, and the rest (RFC 8446 section 5.1; the same
in TLS 1.2). Bytes of a record that is not complete are of no use, so a socket need not be read before its end.
"""

from typing import Final

HEADER_BYTES: Final = 5


class Records:
    """Follows the records that one side sends; a length is not judged, that is the library's part."""

    __slots__ = ("_begun", "_length", "_next")

    def __init__(self) -> None:
        self._next = 0  # Where the next header begins, counted from the next byte to come; -1 to -4 inside it.
        self._begun = b""  # The bytes of an incomplete header.
        self._length = 0  # Of the last record whose header is known, without the header.

    def feed(self, data: memoryview) -> int:
        """Take the next bytes; returns how many records ended within them."""
        size, start = len(data), self._next
        ended = int(0 < start <= size)
        while start + HEADER_BYTES <= size:
            if start >= 0:
                length = data[start + 3] << 8 | data[start + 4]
            else:  # The header began in the read before.
                length = int.from_bytes((self._begun + bytes(data[:HEADER_BYTES]))[3:HEADER_BYTES], "big")
            self._length = length
            start += HEADER_BYTES + length
            ended += start <= size
        if start < size:
            self._begun = (self._begun if start < 0 else b"") + bytes(data[max(start, 0) :])
        self._next = start - size
        return ended

    def wire_bytes(self, left: int) -> int:
        """At least so many bytes come before `left` bytes of content are complete, and before anything else does."""
        missing = self._next
        return missing + max(left - self._length, 0) if missing > 0 else left
