"""A tombstone: the small object that replaces a deleted pair, or its renditions.

Pure. A ZIP with one entry, as the objects that it replaces are ZIPs. All tombstones have the same length, shorter than
any receipt or record, so that a listing alone distinguishes them. A tombstone contains the id of its deletion, so that
no two have the same content, and so no two the same entity tag.
"""

import msgspec

from . import zips
from .records import ATTEMPT_ID_CHARS

ENTRY = "tombstone.json"

_encode = msgspec.json.Encoder().encode


class Tombstone(msgspec.Struct, frozen=True):
    """The deletion that wrote the tombstone, by its `records.attempt_id`."""

    deletion: str


_decode = msgspec.json.Decoder(Tombstone).decode


def pack(tombstone: Tombstone) -> bytes:
    """The bytes of the object to PUT."""
    return b"".join(zips.pack({ENTRY: _encode(tombstone)}))


SIZE = len(pack(Tombstone("0" * ATTEMPT_ID_CHARS)))


def tombstone_in(tail: bytes) -> Tombstone | None:
    """The tombstone, if the object's last `zips.TAIL_BYTES` are one, else None; zips.Damaged."""
    if len(tail) != SIZE:
        return None
    try:
        return _decode(zips.last_entry(tail, ENTRY))
    except (ValueError, RecursionError) as error:
        raise zips.Damaged(f"not a tombstone: {error}") from error
