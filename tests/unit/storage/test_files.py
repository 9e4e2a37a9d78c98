"""The file store's own promises: order on disk, what killed writers leave, errors of the disk."""

import asyncio
import errno
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from storage.blobs import BlobChanged, BlobExists, BlobMissing, StoreFull, StoreUnavailable
from storage.files import FileStore

ROOT = Path(__file__).resolve().parents[3]

# Opens the store of argv[1] and creates each further argument, saying which were its own.
WRITER = """
import asyncio, sys
from pathlib import Path
from storage.blobs import BlobExists
from storage.files import FileStore

async def main():
    async with FileStore(Path(sys.argv[1])) as store:
        for key in sys.argv[3:]:
            try:
                await store.create(key, sys.argv[2].encode())
                print(key)
            except BlobExists:
                pass

asyncio.run(main())
"""


def test_of_two_processes_each_key_has_one_winner(tmp_path: Path) -> None:
    """Two processes create the same fifty keys: together they win each exactly once, with their own bytes."""
    keys = [f"a7/intake/m/{number}" for number in range(50)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "store"), name, *keys], cwd=ROOT, stdout=subprocess.PIPE
        )
        for name in ("one", "two")
    ]
    won = [process.communicate()[0].decode().split() for process in processes]

    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(won[0] + won[1]) == sorted(keys)
    for name, mine in zip(("one", "two"), won, strict=True):
        assert all((tmp_path / "store" / key).read_text() == name for key in mine)


async def test_nothing_is_left_of_winners_and_losers(files: FileStore) -> None:
    """After a create, a lost create, a swap and a lost swap there is one file, and the locks of swaps and process."""
    await files.create("a7/x", b"1")
    with pytest.raises(BlobExists):
        await files.create("a7/x", b"2")
    mark = (await files.read_tail("a7/x", 1)).mark
    await files.swap("a7/x", mark, b"3")
    with pytest.raises(BlobChanged):
        await files.swap("a7/x", mark, b"4")

    found = sorted(path.name for path in files.root.rglob("*") if path.is_file())
    assert [name for name in found if not name.startswith("writer-")] == ["lock-a7", "x"]
    assert len(found) == 3


# Opens the store of argv[1] and stands still in the middle of a write.
STUCK = """
import asyncio, os, sys, threading
from pathlib import Path
from storage.files import FileStore

def stuck(descriptor):
    print("written", flush=True)
    threading.Event().wait()

async def main():
    async with FileStore(Path(sys.argv[1])) as store:
        os.fsync = stuck
        await store.create("a7/intake/m/x", b"photos")

asyncio.run(main())
"""


async def test_what_a_killed_writer_left_goes_when_a_program_opens_the_store(tmp_path: Path) -> None:
    """At once, however young it is; a write that is in progress in another process stays, however old it is."""
    root = tmp_path / "store"

    def photos() -> list[Path]:
        return [path for path in root.rglob("*") if path.is_file() and path.read_bytes() == b"photos"]

    command = [sys.executable, "-c", STUCK, str(root)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as writer:  # noqa: ASYNC220 - the test waits for it
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"written\n"
        (half,) = photos()
        os.utime(half, (time.time() - 7200,) * 2)

        async with FileStore(root):
            assert photos() == [half]
            writer.kill()
            writer.wait()
            assert photos() == [half]
        async with FileStore(root) as files:
            assert photos() == []
            assert len(list((root / ".incoming").iterdir())) == 1  # its own lock
            await files.create("a7/x", b"1")
        assert list((root / ".incoming").iterdir()) == []


async def test_a_node_removes_what_others_left_while_it_runs(files: FileStore, tmp_path: Path) -> None:
    """With its look at the store, every minute."""
    dead = files.root / ".incoming" / "writer-dead"
    dead.touch()
    (files.root / ".incoming" / "dead.half").write_bytes(b"photos")
    await files.probe()
    assert dead.exists()

    files.looked_at -= 61
    await files.probe()

    assert not dead.exists()
    assert not (files.root / ".incoming" / "dead.half").exists()


async def test_leftovers_of_former_versions_go_after_an_hour(tmp_path: Path) -> None:
    """Opening removes temp files older than an hour; a younger one may be somebody's, and a lock is everybody's."""
    incoming = tmp_path / "store" / ".incoming"
    incoming.mkdir(parents=True)
    for name, age_s in (("old", 3700), ("young", 3500), ("lock-a7", 3700)):
        (incoming / name).write_bytes(b"half")
        os.utime(incoming / name, (time.time() - age_s,) * 2)

    async with FileStore(tmp_path / "store"):
        assert sorted(path.name for path in incoming.iterdir() if "writer-" not in path.name) == ["lock-a7", "young"]


async def test_listings_do_not_show_what_is_being_written(files: FileStore) -> None:
    """A temp file of a writer is under no prefix of ours."""
    (files.root / ".incoming" / "half").write_bytes(b"half")
    await files.create("a7/intake/m/x", b"1")

    for prefix in ("", "a7/"):
        assert [entry.key async for entry in files.list(prefix)] == ["a7/intake/m/x"]


def traced(folder: Path) -> list[str]:
    """The system calls of a process that creates one object twice, with the paths of their descriptors."""
    if shutil.which("strace") is None:
        pytest.skip("no strace here: apt-get install strace")
    calls = "trace=fsync,fdatasync,link,linkat,rename,openat"
    command = ["strace", "-f", "-y", "-e", calls, "-o", str(folder / "calls")]
    writer = [sys.executable, "-c", WRITER, str(folder / "store"), "body", "a7/m/x", "a7/m/x"]
    done = subprocess.run([*command, *writer], cwd=ROOT, capture_output=True, text=True, check=False)
    if "ptrace" in done.stderr:
        pytest.skip("strace may not trace here: ptrace is forbidden")
    assert done.stdout.split() == ["a7/m/x"]
    return [line for line in (folder / "calls").read_text().splitlines() if str(folder / "store") in line]


def test_bytes_reach_the_disk_before_the_name_and_the_name_before_the_answer(tmp_path: Path) -> None:
    """fsync of the file, then link, then fsync of the folder; new folders synced into theirs; the loser syncs too."""
    store = re.escape(str(tmp_path / "store"))
    steps = [
        rf"fsync\(\d+<{store}/\.incoming/[\w.]+>\) *= 0",
        rf"fsync\(\d+<{store}>\) *= 0",
        rf"fsync\(\d+<{store}/a7>\) *= 0",
        rf"link\w*\(.*{store}/\.incoming/[\w.]+.*{store}/a7/m/x\".*= 0",
        rf"fsync\(\d+<{store}/a7/m>\) *= 0",
        rf"fsync\(\d+<{store}/\.incoming/[\w.]+>\) *= 0",
        r"link\w*\(.*EEXIST",
        rf"fsync\(\d+<{store}/a7/m>\) *= 0",
    ]
    lines = iter(traced(tmp_path))
    for step in steps:  # each is found after the one before
        assert any(re.search(step, line) for line in lines), step


async def test_a_store_whose_folder_went_away_is_unavailable_not_empty(files: FileStore) -> None:
    """An unmounted disk must not look like one without posts: everything raises StoreUnavailable."""
    await files.create("a7/x", b"1")
    files.root.rename(files.root.with_name("elsewhere"))
    listing = files.list("a7/")

    for call in (
        files.probe(),
        files.read("a7/x"),
        files.read_range("a7/x", 0, 1),
        files.read_tail("a7/x", 1),
        files.delete("a7/x"),
        files.create("a7/y", b""),
        files.swap("a7/x", "mark", b""),
        anext(listing),
        anext(files.list_in("a7/", ["m"], ["f"])),
    ):
        with pytest.raises(StoreUnavailable):
            await call


async def test_a_folder_that_was_removed_is_made_again(files: FileStore) -> None:
    """Somebody tidied empty folders away: the first write after it may fail, the next makes them anew."""
    await files.create("a7/intake/x", b"1")
    shutil.rmtree(files.root / "a7")
    with pytest.raises(StoreUnavailable):
        await files.create("a7/intake/x", b"2")
    await files.create("a7/intake/x", b"3")

    assert await files.read("a7/intake/x") == b"3"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
async def test_a_full_disk_has_its_own_error(code: int, files: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """No space, no quota, too large a file: StoreFull; any other error of the disk is StoreUnavailable."""
    error = OSError(code, os.strerror(code))

    def fail(_descriptor: int) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreFull):
        await files.create("a7/x", b"1")
    error = OSError(errno.EIO, os.strerror(errno.EIO))
    with pytest.raises(StoreUnavailable) as caught:
        await files.create("a7/x", b"1")
    assert not isinstance(caught.value, StoreFull)


async def test_a_file_in_the_way_is_an_error_of_the_store(files: FileStore) -> None:
    """A key below another key is none that we make; it is neither missing nor a crash."""
    await files.create("a7/x", b"1")

    for call in (
        files.read("a7/x/y"),
        files.swap("a7/x/y", "mark"),
        files.create("a7/x/y", b""),
        files.delete("a7/x/y"),
    ):
        with pytest.raises(StoreUnavailable):
            await call


async def test_reads_run_beside_each_other(files: FileStore) -> None:
    """More calls than threads at once come all to their end."""
    await files.create("a7/x", b"1")

    assert set(await asyncio.gather(*(files.read("a7/x") for _ in range(100)))) == {b"1"}
    with pytest.raises(BlobMissing):
        await files.read("a7/y")


async def test_a_fault_of_the_disk_is_logged(files: FileStore, caplog: pytest.LogCaptureFixture) -> None:
    """Its name, and not the path, which shows the post; a missing object is no fault."""
    await files.create("a7/x", b"1")
    with pytest.raises(BlobMissing):
        await files.read("a7/y")
    assert not caplog.records
    with pytest.raises(StoreUnavailable):
        await files.read("a7/x/y")

    (line,) = [record.getMessage() for record in caplog.records]
    assert "ENOTDIR" in line
    assert "a7/x" not in line


def test_it_says_where_it_is(tmp_path: Path) -> None:
    """For logs and start messages."""
    assert repr(FileStore(tmp_path)) == f"<FileStore {tmp_path}>"
