"""Checks a body against its `Content-Digest` (RFC 9530), where a ticket was given for that digest.

A ticket keeps the time of a first attempt, and for a body without a length it is bound to the digest alone. A digest
that nobody checks would let a client reserve a time for photos that it takes later. So the node computes it when a
ticket is redeemed, and only then: of every other upload the field is not read, which RFC 9530 allows, and costs
nothing. Pure.
"""

import binascii
import hashlib
import re
from collections.abc import Iterable
from typing import Final

SIZES: Final = {"sha-256": 32, "sha-512": 64}  # the algorithms that RFC 9530 calls active
FIELD_CHARS_MAX: Final = 1024
# One member of the dictionary (RFC 8941, section 3.2) with a byte sequence, whatever its parameters.
_MEMBER: Final = re.compile(r"(?:^|,)[ \t]*(sha-256|sha-512)=:([A-Za-z0-9+/]*={0,2}):", re.ASCII)


class BadDigest(Exception):
    """The field is malformed, or is not that of the body; the text says which."""


class BodyDigest:
    """The digests that a client has sent, and those of the bytes that have come."""

    def __init__(self, lines: Iterable[str]) -> None:
        """`lines` are the values of all Content-Digest fields; BadDigest when one cannot be a digest."""
        text = ",".join(lines)
        if len(text) > FIELD_CHARS_MAX:
            raise BadDigest(f"Content-Digest may have {FIELD_CHARS_MAX} characters")
        self._wanted: dict[str, bytes] = {}
        for name, value in _MEMBER.findall(text):
            try:
                self._wanted[name] = binascii.a2b_base64(value, strict_mode=True)
            except binascii.Error:
                raise BadDigest(f"the {name} in Content-Digest is not base64") from None
            if len(self._wanted[name]) != SIZES[name]:
                raise BadDigest(f"the {name} in Content-Digest has not {SIZES[name]} bytes")
        self._found = {name: hashlib.new(name.replace("-", "")) for name in self._wanted}

    def __bool__(self) -> bool:
        """Whether there is a digest that can be checked."""
        return bool(self._wanted)

    def update(self, data: bytes | memoryview) -> None:
        """Take the next bytes of the body."""
        for found in self._found.values():
            found.update(data)

    def check(self) -> None:
        """After the last byte: BadDigest when a digest is not that of the body."""
        for name, wanted in self._wanted.items():
            if self._found[name].digest() != wanted:
                raise BadDigest(f"the body does not have the {name} of its Content-Digest")
