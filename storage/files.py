"""Objects as local files: the embedded store. Durable and exclusive by temp file, fsync, link and fsync of the folder.

`create` links the finished temp file to its name: link(2) fails when the name exists, so of many writers one wins and
nobody ever sees half a file. `replace` renames instead. The folder is synced after either, because a name is not on
disk before its folder is (fsync(2), "Notes"); also by a writer who lost, since the winner may not have come so far and
"it exists" is an answer that a client is told. The temp folder is there as long as the store is: without it nothing is
missing, the disk is. Blocking calls run on a pool of threads of our own. This file knows nothing of what it stores.
"""

import asyncio
import contextlib
import errno
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar
from uuid import uuid4

from .blobs import BlobExists, BlobMissing, Buffer, StoreFull, StoreUnavailable

R = TypeVar("R")

_LEFTOVER_S = 3600
_BUFFERS_MAX = 1024  # IOV_MAX of Linux and macOS
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class FileStore:
    """A folder as an object store; see `blobs.BlobStore` for the promises."""

    def __init__(self, root: Path, *, threads: int = 16) -> None:
        self.root = root
        self._temporary = root / ".incoming"
        self._durable: set[Path] = set()  # folders whose names this process has synced
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="file-store")

    def __repr__(self) -> str:
        return f"<FileStore {self.root}>"

    async def create(self, key: str, *parts: Buffer) -> None:
        await self._run(lambda: self._write(key, parts, exclusive=True))

    async def replace(self, key: str, body: bytes) -> None:
        await self._run(lambda: self._write(key, [body], exclusive=False))

    async def read(self, key: str) -> bytes:
        return await self._run((self.root / key).read_bytes)

    async def read_range(self, key: str, offset: int, length: int) -> bytes:
        return await self._run(lambda: self._read_from(key, offset, length))

    async def read_tail(self, key: str, length: int) -> bytes:
        return await self._run(lambda: self._read_from(key, -length, length))

    async def exists(self, key: str) -> bool:
        try:
            await self._run((self.root / key).stat)
        except BlobMissing:
            return False
        return True

    async def delete(self, key: str) -> None:
        with contextlib.suppress(BlobMissing):
            await self._run(lambda: self._unlink(key))

    async def list(self, prefix: str, after: str = "") -> AsyncIterator[str]:
        found: list[str] = []
        with contextlib.suppress(BlobMissing):
            found = await self._run(lambda: sorted(key for key in self._keys(prefix) if key > after))
        for key in found:
            yield key

    async def probe(self) -> None:
        await self._run(self._temporary.stat)

    async def __aenter__(self) -> Self:
        await self._run(self._open)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown()

    async def _run(self, call: Callable[[], R]) -> R:
        """Do it on a thread; operating system errors become the port's."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, call)
        except FileExistsError as error:
            raise BlobExists(str(error.filename2 or error.filename)) from error
        except FileNotFoundError as error:
            if not self._temporary.is_dir():
                raise StoreUnavailable(f"the folder {self.root} is not there, or no store") from error
            raise BlobMissing(str(error.filename)) from error
        except StoreUnavailable:
            raise
        except OSError as error:
            raise (StoreFull if error.errno in _NO_ROOM else StoreUnavailable)(str(error)) from error

    def _open(self) -> None:
        """Make the root, and remove what writers that were killed left behind more than an hour ago."""
        self._make_folder(self._temporary)
        for leftover in self._temporary.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if leftover.stat().st_mtime < time.time() - _LEFTOVER_S:
                    leftover.unlink()

    def _write(self, key: str, parts: Sequence[Buffer], *, exclusive: bool) -> None:
        target = self.root / key
        temporary = self._temporary / uuid4().hex
        try:
            with temporary.open("xb", buffering=0) as file:
                _write_all(file.fileno(), parts)
                os.fsync(file.fileno())
            self._make_folder(target.parent)
            try:
                if exclusive:
                    os.link(temporary, target)
                else:
                    temporary.replace(target)
            finally:
                _sync_folder(target.parent)
        except FileNotFoundError as error:  # a folder was removed under us: not a missing blob
            self._durable.clear()
            raise StoreUnavailable(str(error)) from error
        finally:
            temporary.unlink(missing_ok=True)

    def _make_folder(self, folder: Path) -> None:
        """Make it and its parents, each name durable in the folder above, whoever made it."""
        if folder in self._durable or folder == folder.parent:
            return
        self._make_folder(folder.parent)
        made = True
        try:
            folder.mkdir()
        except FileExistsError:
            made = False
        if made or folder.is_relative_to(self.root):
            _sync_folder(folder.parent)
        self._durable.add(folder)

    def _read_from(self, key: str, offset: int, length: int) -> bytes:
        with (self.root / key).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(offset if offset >= 0 else size + offset, 0))
            return file.read(length)

    def _unlink(self, key: str) -> None:
        (self.root / key).unlink()
        _sync_folder((self.root / key).parent)

    def _keys(self, prefix: str) -> Iterator[str]:
        for folder, _, names in os.walk(self.root / prefix, onerror=_raise):
            yield from (str((Path(folder) / name).relative_to(self.root)) for name in names)


def _write_all(descriptor: int, parts: Sequence[Buffer]) -> None:
    """All bytes in a row; a write that stops short (a limit, a signal) is gone on with."""
    left = [memoryview(part) for part in parts if len(part)]
    while left:
        written = os.writev(descriptor, left[:_BUFFERS_MAX])
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        if left:
            left[0] = left[0][written:]


def _raise(error: OSError) -> None:
    """os.walk leaves out what it cannot read unless told otherwise; a listing with holes would look like losses."""
    raise error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
