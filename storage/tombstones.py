"""What stands in the place of a pair that was deleted, and of its renditions: a small object that says so.

Pure. A ZIP with one entry, as the objects that it replaces are ZIPs, much shorter than any of them: a listing alone
tells them apart. It names the deletion, so that no two of them, and so no two entity tags, are ever the same.
"""

import msgspec

from . import zips

ENTRY = "tombstone.json"
# A tombstone has some 200 bytes; the receipt or record in any other object has more than this by itself.
BYTES_MAX = 512

_encode = msgspec.json.Encoder().encode


class Tombstone(msgspec.Struct, frozen=True):
    """Which deletion put it there: its `records.attempt_id`."""

    deletion: str


_decode = msgspec.json.Decoder(Tombstone).decode


def pack(tombstone: Tombstone) -> bytes:
    """The object to PUT."""
    return b"".join(zips.pack({ENTRY: _encode(tombstone)}))


def tombstone_in(tail: bytes) -> Tombstone | None:
    """The tombstone that an object's last `zips.TAIL_BYTES` are, or None; zips.Damaged."""
    if len(tail) > BYTES_MAX:
        return None
    try:
        return _decode(zips.last_entry(tail, ENTRY))
    except (ValueError, RecursionError) as error:
        raise zips.Damaged(f"not a tombstone: {error}") from error
