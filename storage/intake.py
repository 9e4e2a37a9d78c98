"""The intake object: the pair as received and its receipt, in one ZIP whose PUT is the commit.

Pure. Entries `front.<ext>`, `back.<ext>`, `receipt.json`, in this order, stored. It carries whatever the phone wrote
into its photos (GPS too), so it is never served as it is.
"""

import msgspec

from . import zips
from .blobs import Buffer
from .records import EXTENSIONS, SIDES, Receipt

RECEIPT_ENTRY = "receipt.json"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Receipt).decode


class Intake(msgspec.Struct, frozen=True):
    """An intake object, read whole."""

    receipt: Receipt
    front: bytes
    back: bytes


def pack(receipt: Receipt, front: Buffer, back: Buffer) -> list[Buffer]:
    """The object to PUT, as buffers in a row; ValueError when the receipt is too long to be found again."""
    names = {side: f"{side}.{EXTENSIONS[getattr(receipt.photos, side).format]}" for side in SIDES}
    return zips.pack({names["front"]: front, names["back"]: back, RECEIPT_ENTRY: _encode(receipt)})


def unpack(archive: bytes) -> Intake:
    """The object read back; zips.Damaged when it is not one of ours."""
    entries = zips.unpack(archive)
    by_stem = {name.split(".")[0]: data for name, data in entries.items()}
    try:
        return Intake(_decode(by_stem["receipt"]), by_stem["front"], by_stem["back"])
    except (KeyError, ValueError, RecursionError) as error:
        raise zips.Damaged(f"not an intake object: {error}") from error


def receipt_in(tail: bytes) -> Receipt:
    """The receipt out of the object's last `zips.TAIL_BYTES`; zips.Damaged when there is none."""
    try:
        return _decode(zips.last_entry(tail, RECEIPT_ENTRY))
    except (ValueError, RecursionError) as error:
        raise zips.Damaged(f"not a receipt: {error}") from error
