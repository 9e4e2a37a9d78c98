"""The parts of an export: the archive, which is written while it is read, and the client with its pace.

Nothing here asks the store. An archive takes pieces of objects, of any size, and gives the bytes to send.
"""

import asyncio
import hashlib
import math
import time
import zipfile
from typing import IO, Any

import msgspec
from aiohttp import web

from storage.records import Timestamp
from storage.users import Contents
from storage.zips import Entry

# Each so many seconds in which the node waited for a client, the client's pace is judged anew: what sockets took at
# once, when the export began, is no pace.
JUDGED_S = 3.0
WRITE_BYTES = 64 * 1024
MANIFEST = "manifest.json"
RIGHTS = 0o600


class File(msgspec.Struct, frozen=True):
    """One file of an export."""

    name: str
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """The last file of an export: all others that are whole, and the keys of objects that could not be read.

    Of such an object the archive may have files that are damaged.
    """

    user_id: str
    exported_at: Timestamp
    posts: int
    files: list[File]
    unreadable: list[str]


class Paced:
    """Writes to a client that must read as fast as readers of pictures (sending.py); the store's time is free."""

    def __init__(self, response: web.StreamResponse, *, rate_bytes_s: int, grace_s: float) -> None:
        self._response = response
        self._rate_bytes_s = rate_bytes_s
        self._left_s = grace_s
        self._taken = 0
        self._waited_s = 0.0
        self._since: float | None = None  # when the write in progress began
        self._mark = 0, 0.0  # bytes and seconds at which the present judgement began
        self._pace = math.inf

    async def write(self, data: bytes) -> None:
        """Write all of it, piece by piece; TimeoutError when the client is too slow."""
        now = asyncio.get_running_loop().time
        for start in range(0, len(data), WRITE_BYTES):
            piece, begun = memoryview(data)[start : start + WRITE_BYTES], now()
            self._since = begun
            self._left_s += len(piece) / self._rate_bytes_s
            async with asyncio.timeout(self._left_s):
                await self._response.write(piece)
            self._taken += len(piece)
            self._waited_s += now() - begun
            self._since = None
            self._left_s -= now() - begun
            self._pace = self.pace()
            if self._waited_s - self._mark[1] >= JUDGED_S:
                self._mark = self._taken, self._waited_s

    def waited_s(self) -> float:
        """The seconds in which the node waited for the client, until now."""
        writing_s = 0.0 if self._since is None else asyncio.get_running_loop().time() - self._since
        return self._waited_s + writing_s

    def pace(self) -> float:
        """The bytes per second that the client takes now, or last took; infinite until that can be said."""
        taken, waited_s = self._taken - self._mark[0], self.waited_s() - self._mark[1]
        # With the piece that it may nearly have taken.
        return self._pace if waited_s < JUDGED_S else (taken + WRITE_BYTES) / waited_s


class Reader:
    """The client of an export, for its turn (turns.py)."""

    def __init__(self, paced: Paced, patience: asyncio.Timeout) -> None:
        self.pace = paced.pace
        self.waited_s = paced.waited_s
        self._patience = patience

    def end(self) -> None:
        """Let the export time out."""
        self._patience.reschedule(0)


class Archive:
    """A ZIP whose bytes are taken away while it is written, so a file is sent before its CRC is known.

    A file that has not the CRC of the stored object stays in the archive; the manifest names its object.
    """

    def __init__(self) -> None:
        self.posts = 0
        self.unreadable: list[str] = []
        self._files: list[File] = []
        self._sink = _Sink()
        self._zip = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_STORED)  # photos do not shrink
        self._entry: IO[bytes] | None = None
        self._written: Entry | None = None  # the entry that is being written
        self._digest = hashlib.sha256()

    def add(self, folder: str, contents: Contents, start: int, piece: bytes) -> bytes:
        """Add a piece of an object, which begins at `start`; the bytes to send. An object's pieces come in order."""
        end = start + len(piece)
        for entry in contents.files or ():
            if start <= entry.offset < end:
                self._begin(f"{folder}/{entry.name}", entry)
            if self._written is entry and self._entry is not None:
                part = memoryview(piece)[max(entry.offset - start, 0) : entry.end - start]
                self._entry.write(part)
                self._digest.update(part)
                if entry.end <= end:
                    self._finish(f"{folder}/{entry.name}", entry, contents.key)
        return self._sink.taken()

    def end(self, user_id: str, exported_at: Timestamp) -> bytes:
        """Add the manifest and end the archive; the bytes to send."""
        manifest = Manifest(user_id, exported_at, self.posts, self._files, self.unreadable)
        self._zip.writestr(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
        self._zip.close()
        return self._sink.taken()

    def give_up(self) -> None:
        """End the entry that is being written, if any: else the archive could not be collected."""
        if self._entry is not None:
            self._entry.close()

    def _begin(self, path: str, entry: Entry) -> None:
        info = zipfile.ZipInfo(path, time.localtime()[:6])
        info.external_attr, info.file_size = RIGHTS << 16, entry.bytes
        self._entry, self._written, self._digest = self._zip.open(info, "w"), entry, hashlib.sha256()

    def _finish(self, path: str, entry: Entry, key: str) -> None:
        """End the entry: only now its CRC is known."""
        self.give_up()
        self._entry = self._written = None
        if entry.crc == self._zip.getinfo(path).CRC:
            self._files.append(File(path, entry.bytes, self._digest.hexdigest()))
        elif key not in self.unreadable:
            self.unreadable.append(key)


class _Sink:
    """A file that can only be written to, and that forgets what is taken. Not an `io` object, which closes itself.

    An archive that is given up writes its end when it is collected.
    """

    def __init__(self) -> None:
        self._written = bytearray()

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is open."""

    def write(self, data: Any, /) -> int:  # noqa: ANN401 - any buffer; Python 3.11 has no name for the type
        """Take the bytes."""
        self._written += data
        return len(memoryview(data))

    def taken(self) -> bytes:
        """What was written since the last call."""
        taken, self._written = bytes(self._written), bytearray()
        return taken
