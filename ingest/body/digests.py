"""Checks a body against its `Content-Digest` and `Repr-Digest` (RFC 9530), where a ticket was given for that digest.

Of a resumable upload also without a ticket, as far as its parts must be those of one body: `Repr-Digest` always, and
the `Content-Digest` of a first request that was to bring all of it once another request had to follow. Hashing the body
for the latter from the start would be a tenth of what a pair costs, for the few uploads that break.

A ticket keeps the time of a first attempt, and for a body without a length it is bound to the digest alone. A digest
that nobody checks would let a client reserve a time for photos that it takes later. So the node computes it when a
ticket is redeemed: of every other ordinary upload the fields are not read, which RFC 9530 allows, and costs nothing.
Pure.
"""

import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Final

SIZES: Final = {"sha-256": 32, "sha-512": 64}  # the algorithms that RFC 9530 calls active
FIELD_CHARS_MAX: Final = 1024
# One member of the dictionary (RFC 8941, section 3.2) with a byte sequence, whatever its parameters.
_MEMBER: Final = re.compile(r"(?:^|,)[ \t]*(sha-256|sha-512)=:([A-Za-z0-9+/]*={0,2}):", re.ASCII)


class BadDigest(Exception):
    """The field is malformed, or is not that of the body; the text says which."""


class BodyDigest:
    """The digests that a client has sent, and those of the bytes that have come.

    `idle`: nothing is computed or checked before `begin`.
    """

    def __init__(self, fields: Mapping[str, Iterable[str]], *, idle: bool = False) -> None:
        """`fields` are the values of all lines, by the field's name; BadDigest when one cannot be a digest."""
        self._idle = idle
        self._wanted = [
            (field, name, value) for field, lines in fields.items() for name, value in _members(field, lines).items()
        ]
        self._found = {name: hashlib.new(name.replace("-", "")) for _, name, _ in self._wanted}

    def __bool__(self) -> bool:
        """Whether there is a digest that can be checked."""
        return bool(self._wanted)

    def begin(self, data: bytes | memoryview) -> None:
        """Take the bytes that have come while it was idle, if it was."""
        if self._idle:
            self._idle = False
            self.update(data)

    def update(self, data: bytes | memoryview) -> None:
        """Take the next bytes of the body."""
        if not self._idle:
            for found in self._found.values():
                found.update(data)

    def check(self) -> None:
        """After the last byte: BadDigest when a digest is not that of the body."""
        for field, name, wanted in self._wanted:
            if not self._idle and self._found[name].digest() != wanted:
                raise BadDigest(f"the body does not have the {name} of its {field}")


def _members(field: str, lines: Iterable[str]) -> dict[str, bytes]:
    """The digests in a field by algorithm; of one that comes twice the last counts (RFC 8941)."""
    text = ",".join(lines)
    if len(text) > FIELD_CHARS_MAX:
        raise BadDigest(f"{field} may have {FIELD_CHARS_MAX} characters")
    found: dict[str, bytes] = {}
    for name, value in _MEMBER.findall(text):
        try:
            found[name] = binascii.a2b_base64(value, strict_mode=True)
        except binascii.Error:
            raise BadDigest(f"the {name} in {field} is not base64") from None
        if len(found[name]) != SIZES[name]:
            raise BadDigest(f"the {name} in {field} has not {SIZES[name]} bytes")
    return found
