"""The ZIP form both stored objects share: entries stored uncompressed, fixed dates, the record last.

`pack` is deterministic, so that a job that runs twice writes the same bytes. `last_entry` reads the final entry out of
the object's tail alone: the central directory stands at the end, so one ranged read finds the record. Offsets in a
tail count from a start that was cut off; the standard library already copes with that shift (it is how archives with
something in front are read), here with a negative sign.
"""

import io
import zipfile
import zlib
from collections.abc import Mapping

# Whatever the standard library raises on bytes that are no archive, or one of a kind that we do not write.
_NOT_OURS = (zipfile.BadZipFile, ValueError, EOFError, KeyError, NotImplementedError, RuntimeError, zlib.error)

_DATE = (1980, 1, 1, 0, 0, 0)
_LOCAL_HEADER_BYTES = 30  # APPNOTE.TXT 4.3.7, without name; stored entries under 4 GiB have no extra field

# One ranged read of this many bytes finds any record (receipt.json or post.json) and the directory after it.
TAIL_BYTES = 8 * 1024
RECORD_BYTES_MAX = 6 * 1024


class Damaged(Exception):
    """A stored object is not what we wrote."""


def data_offsets(entries: Mapping[str, bytes]) -> dict[str, int]:
    """Where each entry's bytes will begin when these are packed in this order."""
    offsets, position = {}, 0
    for name, data in entries.items():
        position += _LOCAL_HEADER_BYTES + len(name.encode())
        offsets[name] = position
        position += len(data)
    return offsets


def pack(entries: Mapping[str, bytes]) -> bytes:
    """The archive; ValueError when its last entry, the record, is too long for the tail read to find it."""
    *_, record = entries.values()
    if len(record) > RECORD_BYTES_MAX:
        raise ValueError(f"the record has {len(record)} bytes, more than {RECORD_BYTES_MAX}")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in entries.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), data)
    return out.getvalue()


def last_entry(tail: bytes, name: str) -> bytes:
    """The entry `name` out of the archive's last bytes; Damaged when it is not there whole."""
    try:
        with zipfile.ZipFile(io.BytesIO(tail)) as opened:
            return opened.read(name)
    except _NOT_OURS as error:
        raise Damaged(str(error)) from error


def unpack(archive: bytes) -> dict[str, bytes]:
    """All entries by name; Damaged when one fails its CRC."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            return {name: opened.read(name) for name in opened.namelist()}
    except _NOT_OURS as error:
        raise Damaged(str(error)) from error
