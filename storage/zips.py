"""The ZIP format of stored objects: entries uncompressed, fixed dates, the record last.

`pack` writes it, as a list of buffers that are sent without being joined; the standard library reads it. The output is
deterministic, so that a job that runs twice writes the same bytes. `last_entry` reads the final entry from the object's
tail alone: the central directory is at the end, so one ranged read finds the record.

In a tail the offsets count from a start that was cut off. The standard library corrects such a shift, which it knows
from archives with data in front; here the shift is negative.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence

import msgspec
from isal import isal_zlib

from .blobs import Buffer

# Everything that the standard library raises on bytes that are not an archive, or not one of the kind written here.
_NOT_OURS = (zipfile.BadZipFile, ValueError, EOFError, KeyError, NotImplementedError, RuntimeError, zlib.error)

# APPNOTE.TXT 4.3.7, 4.3.12, 4.3.16; stored entries under 4 GiB have no extra field.
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_VERSION = 20
_UNIX = 3
_RIGHTS = 0o600
_UTF8 = 1 << 11
_DOS_DATE = 1 << 5 | 1  # 1980-01-01, 00:00

# One ranged read of this many bytes finds any record (receipt.json or post.json) and the directory after it.
TAIL_BYTES = 8 * 1024
RECORD_BYTES_MAX = 6 * 1024


class Damaged(Exception):
    """A stored object is not in the form that this program writes."""


class Entry(msgspec.Struct, frozen=True):
    """Where an entry's bytes are in its object, and the CRC-32 that they must have."""

    name: str
    offset: int
    bytes: int
    crc: int

    @property
    def end(self) -> int:
        """The offset of the byte after the last one."""
        return self.offset + self.bytes


def data_offsets(entries: Mapping[str, Buffer]) -> dict[str, int]:
    """The offset of each entry's data if these entries are packed in this order."""
    offsets, position = {}, 0
    for name, data in entries.items():
        position += _LOCAL.size + len(name.encode())
        offsets[name] = position
        position += len(data)
    return offsets


def pack(entries: Mapping[str, Buffer]) -> list[Buffer]:
    """The archive as buffers in order; the entries' own buffers are included, not copied.

    ValueError when the last entry, the record, is too long for the tail read to find it.
    """
    *_, record = entries.values()
    if len(record) > RECORD_BYTES_MAX:
        raise ValueError(f"the record has {len(record)} bytes, more than {RECORD_BYTES_MAX}")
    parts: list[Buffer] = []
    directory, position = b"", 0
    for name, data in entries.items():
        raw = name.encode()
        flags = 0 if name.isascii() else _UTF8
        crc, size = isal_zlib.crc32(data), len(data)
        parts += [_LOCAL.pack(b"PK\3\4", _VERSION, flags, 0, 0, _DOS_DATE, crc, size, size, len(raw), 0) + raw, data]
        made = (_VERSION | _UNIX << 8, _VERSION, flags, 0, 0, _DOS_DATE, crc, size, size, len(raw), 0, 0, 0, 0)
        directory += _CENTRAL.pack(b"PK\1\2", *made, _RIGHTS << 16, position) + raw
        position += _LOCAL.size + len(raw) + size
    end = _END.pack(b"PK\5\6", 0, 0, len(entries), len(entries), len(directory), position, 0)
    return [*parts, directory + end]


def last_entry(tail: bytes, name: str) -> bytes:
    """The entry `name` from the archive's last bytes; Damaged when it is missing or incomplete."""
    try:
        with zipfile.ZipFile(io.BytesIO(tail)) as opened:
            return opened.read(name)
    except _NOT_OURS as error:
        raise Damaged(str(error)) from error


def names(tail: bytes) -> list[str]:
    """The names of all entries, from the archive's last bytes; Damaged when these are no end of an archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(tail)) as opened:
            return opened.namelist()
    except _NOT_OURS as error:
        raise Damaged(str(error)) from error


def entries(tail: bytes) -> Sequence[Entry]:
    """Where the entries are in the object that ends with these bytes, in order, without gaps; Damaged."""
    found, position = [], 0
    try:
        with zipfile.ZipFile(io.BytesIO(tail)) as opened:
            entries = opened.infolist()
        *_, size, start, _ = _END.unpack(tail[-_END.size :])
    except (*_NOT_OURS, struct.error) as error:
        raise Damaged(str(error)) from error
    cut_off = start + size + _END.size - len(tail)
    for entry in entries:
        offset = position + _LOCAL.size + len(entry.orig_filename.encode())
        if entry.header_offset + cut_off != position or entry.compress_size != entry.file_size:
            raise Damaged(f"the entry {entry.filename} is not where its object should have it")
        found.append(Entry(entry.filename, offset, entry.file_size, entry.CRC))
        position = found[-1].end
    if position != start:
        raise Damaged("there are bytes between the entries and the directory")
    return found


def unpack(archive: bytes) -> dict[str, bytes]:
    """All entries by name; Damaged when one fails its CRC."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            return {name: opened.read(name) for name in opened.namelist()}
    except _NOT_OURS as error:
        raise Damaged(str(error)) from error
