"""What stands in the place of a pair that was deleted, and of its renditions: a small object that says so.

Pure. A ZIP with one entry, as the objects that it replaces are ZIPs. All have one length, which is shorter than any
receipt or record, so that a listing alone tells them from pairs and renditions. It names the deletion, so that no two
of them, and so no two entity tags, are ever the same.
"""

import msgspec

from . import zips
from .records import ATTEMPT_ID_CHARS

ENTRY = "tombstone.json"

_encode = msgspec.json.Encoder().encode


class Tombstone(msgspec.Struct, frozen=True):
    """Which deletion put it there: its `records.attempt_id`."""

    deletion: str


_decode = msgspec.json.Decoder(Tombstone).decode


def pack(tombstone: Tombstone) -> bytes:
    """The object to PUT."""
    return b"".join(zips.pack({ENTRY: _encode(tombstone)}))


SIZE = len(pack(Tombstone("0" * ATTEMPT_ID_CHARS)))


def tombstone_in(tail: bytes) -> Tombstone | None:
    """The tombstone that an object's last `zips.TAIL_BYTES` are, or None; zips.Damaged."""
    if len(tail) != SIZE:
        return None
    try:
        return _decode(zips.last_entry(tail, ENTRY))
    except (ValueError, RecursionError) as error:
        raise zips.Damaged(f"not a tombstone: {error}") from error
