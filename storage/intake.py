"""The intake object: the pair as received and its receipt, in one ZIP whose PUT is the commit.

Pure. Entries `front.<ext>`, `back.<ext>`, `receipt.json`, in this order, stored uncompressed. The photos contain all
metadata that the phone wrote (GPS included); only the user's own export contains them.

When the photos have been kept as long as they are to be, the *bare receipt* takes the place of the pair: the same ZIP
with `receipt.json` alone. The post exists as before, and its digests still tell a repeated pair from another one.
"""

import msgspec

from . import zips
from .blobs import Buffer
from .records import EXTENSIONS, SIDES, Receipt

RECEIPT_ENTRY = "receipt.json"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Receipt).decode


class Intake(msgspec.Struct, frozen=True):
    """A complete intake object, decoded."""

    receipt: Receipt
    front: bytes
    back: bytes


def pack(receipt: Receipt, front: Buffer, back: Buffer) -> list[Buffer]:
    """The object to PUT, as buffers in order; ValueError when the receipt is too long for the tail read."""
    names = {side: f"{side}.{EXTENSIONS[getattr(receipt.photos, side).format]}" for side in SIDES}
    return zips.pack({names["front"]: front, names["back"]: back, RECEIPT_ENTRY: _encode(receipt)})


def pack_bare(receipt: Receipt) -> list[Buffer]:
    """The object without its photos, as buffers in order."""
    return zips.pack({RECEIPT_ENTRY: _encode(receipt)})


def is_bare(tail: bytes) -> bool:
    """Whether the object that ends with these bytes has a receipt and no photos; zips.Damaged."""
    return zips.names(tail) == [RECEIPT_ENTRY]


def unpack(archive: bytes) -> Intake:
    """Decode an intake object; zips.Damaged when it is not one."""
    entries = zips.unpack(archive)
    if list(entries) == [RECEIPT_ENTRY]:
        raise zips.Damaged("the photos were deleted by the retention setting")
    by_stem = {name.split(".")[0]: data for name, data in entries.items()}
    try:
        return Intake(_decode(by_stem["receipt"]), by_stem["front"], by_stem["back"])
    except (KeyError, ValueError, RecursionError) as error:
        raise zips.Damaged(f"not an intake object: {error}") from error


def receipt_in(tail: bytes) -> Receipt:
    """The receipt from the object's last `zips.TAIL_BYTES`; zips.Damaged when there is none."""
    try:
        return _decode(zips.last_entry(tail, RECEIPT_ENTRY))
    except (ValueError, RecursionError) as error:
        raise zips.Damaged(f"not a receipt: {error}") from error
