"""Objects as local files: the embedded store.

A write goes to a temp file, which is synced. `create` then links it to its name: link(2) fails when the name exists, so
exactly one of several writers succeeds and no reader sees a partial file. `swap` renames it under a lock. Both then
sync the folder, because a new name is durable only after its folder is synced (fsync(2), "Notes").

A temp file is named after its process, which holds a lock while it has the store open; the kernel releases the lock
when the process ends, however it ends. So every program that opens the store, and each node once a minute, removes what
killed writers left, photos perhaps, and never a file that is being written.

Blocking calls run on the store's own thread pool. This file knows nothing about the content of the objects.
"""

import asyncio
import contextlib
import errno
import fcntl
import os
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import IO, Self, TypeVar
from uuid import uuid4

from .blobs import Blob, BlobChanged, BlobExists, BlobMissing, Buffer, Entry, StoreFull, StoreUnavailable
from .failures import Failures

R = TypeVar("R")

_LEFTOVER_S = 3600  # of former versions, whose temp files name no process
_TIDY_S = 60
_WRITER = "writer-"  # one for each process, in the temp folder
_LOCK = "lock-"  # one for each spread, in the temp folder
_BUFFERS_MAX = 1024  # IOV_MAX of Linux and macOS
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class FileStore:
    """A folder as an object store; `blobs.BlobStore` documents the methods."""

    def __init__(self, root: Path, *, threads: int = 16) -> None:
        self.root = root
        self._temporary = root / ".incoming"
        self._name = uuid4().hex
        self._own: IO[bytes] | None = None
        self.looked_at = 0.0  # when leftovers were looked for, monotonic seconds
        self._durable: set[Path] = set()  # folders whose names this process has already synced
        self._failures = Failures(str(root))
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="file-store")

    def __repr__(self) -> str:
        return f"<FileStore {self.root}>"

    async def create(self, key: str, *parts: Buffer) -> None:
        await self._run(lambda: self._write(key, parts))

    async def swap(self, key: str, mark: str, *parts: Buffer) -> None:
        await self._run(lambda: self._swap(key, mark, parts))

    async def read(self, key: str) -> bytes:
        return await self._run((self.root / key).read_bytes)

    async def read_range(self, key: str, offset: int, length: int, mark: str = "") -> bytes:
        found = await self._run(lambda: self._read_from(key, offset, length))
        if mark and found.mark != mark:
            raise BlobChanged(key)
        if len(found.body) < length:
            raise BlobMissing(f"{key} ends before byte {offset + length}")
        return found.body

    async def read_tail(self, key: str, length: int) -> Blob:
        return await self._run(lambda: self._read_from(key, -length, length))

    async def delete(self, key: str) -> None:
        with contextlib.suppress(BlobMissing):
            await self._run(lambda: self._unlink(key))

    async def list(self, prefix: str, after: str = "") -> AsyncIterator[Entry]:
        found: list[Entry] = []
        with contextlib.suppress(BlobMissing):
            found = await self._run(lambda: sorted(self._entries(prefix, after), key=lambda entry: entry.key))
        for entry in found:
            yield entry

    async def list_in(self, prefix: str, parents: Sequence[str], folders: Collection[str]) -> AsyncIterator[Entry]:
        def entries() -> list[Entry]:
            found: list[Entry] = []
            self._temporary.stat()  # else a disk that is gone would read as folders without files
            for place in (f"{prefix}{parent}/{folder}/" for parent in parents for folder in folders):
                with contextlib.suppress(FileNotFoundError):
                    found += self._entries(place, "")
            return found

        for entry in await self._run(entries):
            yield entry

    async def probe(self) -> None:
        await self._run(self._look)

    async def __aenter__(self) -> Self:
        try:
            await asyncio.get_running_loop().run_in_executor(self._pool, self._open)
        except OSError as error:  # not logged here: the program that cannot start says so itself
            raise StoreUnavailable(str(error)) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown()
        if self._own is not None:
            with contextlib.suppress(OSError):
                (self._temporary / f"{_WRITER}{self._name}").unlink()
            self._own.close()

    async def _run(self, call: Callable[[], R]) -> R:
        """Run the call on a thread; translates operating system errors into those of the port."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, call)
        except FileExistsError as error:
            raise BlobExists(str(error.filename2 or error.filename)) from error
        except FileNotFoundError as error:
            # The temp folder always exists. If it is missing, the disk is missing, not the object.
            if not self._temporary.is_dir():
                self._failures.failed("the folder is not there, or no store", "mount it")
                raise StoreUnavailable(f"the folder {self.root} is not there, or no store") from error
            raise BlobMissing(str(error.filename)) from error
        except StoreUnavailable:
            raise
        except OSError as error:
            # Not its text, which has the path and thereby the key.
            cause = f"{errno.errorcode.get(error.errno or 0, type(error).__name__)} ({os.strerror(error.errno or 0)})"
            self._failures.failed(cause, "free space" if error.errno in _NO_ROOM else "check the disk")
            raise (StoreFull if error.errno in _NO_ROOM else StoreUnavailable)(str(error)) from error

    def _open(self) -> None:
        """Create the root, take this process's lock, and remove what killed writers left."""
        self._make_folder(self._temporary)
        path = self._temporary / f"{_WRITER}{self._name}"
        while self._own is None:
            own = path.open("wb")
            fcntl.flock(own, fcntl.LOCK_EX)
            if path.exists() and os.path.samestat(path.stat(), os.fstat(own.fileno())):
                self._own = own
            else:  # another process found it before it was locked, and removed it
                own.close()
        self._tidy()

    def _look(self) -> None:
        self._temporary.stat()
        if time.monotonic() - self.looked_at > _TIDY_S:
            self._tidy()

    def _tidy(self) -> None:
        """Remove the temp files of processes that have ended, and those of former versions that are an hour old."""
        self.looked_at = time.monotonic()
        for lock in self._temporary.glob(f"{_WRITER}*"):
            with contextlib.suppress(OSError), lock.open("r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: its process has the store open
                for leftover in self._temporary.glob(f"{lock.name.removeprefix(_WRITER)}.*"):
                    leftover.unlink(missing_ok=True)
                lock.unlink(missing_ok=True)
        for leftover in self._temporary.iterdir():
            writer = self._temporary / f"{_WRITER}{leftover.name.partition('.')[0]}"
            if leftover.name.startswith((_LOCK, _WRITER)) or writer.exists():
                continue
            with contextlib.suppress(FileNotFoundError):
                if leftover.stat().st_mtime < time.time() - _LEFTOVER_S:
                    leftover.unlink()

    def _swap(self, key: str, mark: str, parts: Sequence[Buffer]) -> None:
        """Compare-and-swap under flock(2), shared by all processes; the kernel unlocks it if the holder is killed."""
        with (self._temporary / f"{_LOCK}{key[:2]}").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                found = _mark((self.root / key).stat())
            except FileNotFoundError:
                found = ""
            if found != mark:
                raise BlobChanged(key)
            self._write(key, parts, exclusive=False)

    def _write(self, key: str, parts: Sequence[Buffer], *, exclusive: bool = True) -> None:
        target = self.root / key
        temporary = self._temporary / f"{self._name}.{uuid4().hex}"
        try:
            with temporary.open("xb", buffering=0) as file:
                _write_all(file.fileno(), parts)
                # The kernel's own timestamps advance in steps of milliseconds; the mark needs a finer modification
                # time.
                os.utime(file.fileno(), ns=(time.time_ns(), time.time_ns()))
                os.fsync(file.fileno())
            self._make_folder(target.parent)
            try:
                if exclusive:
                    os.link(temporary, target)
                else:
                    temporary.replace(target)
            finally:
                # Also after a lost race: the winner may not have synced yet, and the client is told that the object
                # exists.
                _sync_folder(target.parent)
        except FileNotFoundError as error:  # another process removed a folder: not a missing blob
            self._durable.clear()
            raise StoreUnavailable(str(error)) from error
        finally:
            temporary.unlink(missing_ok=True)

    def _make_folder(self, folder: Path) -> None:
        """Create the folder and its parents; syncs each name in the folder above, whichever process created it."""
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

    def _read_from(self, key: str, offset: int, length: int) -> Blob:
        with (self.root / key).open("rb") as file:
            status = os.fstat(file.fileno())
            file.seek(max(offset if offset >= 0 else status.st_size + offset, 0))
            return Blob(file.read(length), _mark(status))

    def _unlink(self, key: str) -> None:
        (self.root / key).unlink()
        _sync_folder((self.root / key).parent)

    def _entries(self, prefix: str, after: str) -> Iterator[Entry]:
        for folder, folders, names in os.walk(self.root / prefix, onerror=_raise):
            if self._temporary.name in folders:
                folders.remove(self._temporary.name)
            for path in (Path(folder) / name for name in names):
                key = str(path.relative_to(self.root))
                if key > after:
                    with contextlib.suppress(FileNotFoundError):  # deleted since the folder was listed
                        yield Entry(key, path.stat().st_size)


def _mark(status: os.stat_result) -> str:
    """The mark of a file. Successive files under a name differ in inode or time, as both exist during a swap."""
    return f"{status.st_ino}-{status.st_mtime_ns}-{status.st_size}"


def _write_all(descriptor: int, parts: Sequence[Buffer]) -> None:
    """Write all bytes in order; continues after a short write (a limit, a signal)."""
    left = [memoryview(part) for part in parts if len(part)]
    while left:
        written = os.writev(descriptor, left[:_BUFFERS_MAX])
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        if left:
            left[0] = left[0][written:]


def _raise(error: OSError) -> None:
    """Without this, os.walk skips folders that it cannot read, and a listing with gaps would look like lost objects."""
    raise error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
