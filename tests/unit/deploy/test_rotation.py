"""Log files of a stack are bounded."""

import asyncio
import errno
import shutil
from pathlib import Path

import pytest

from deploy import rotation
from deploy.rotation import rotate, rotating


def test_a_file_over_the_limit_becomes_the_older_one(tmp_path: Path) -> None:
    """At the limit it stays; the program goes on in the same file, and the older one is replaced."""
    path = tmp_path / "node-a.log"
    with path.open("ab", buffering=0) as file:
        file.write(b"12345")
        assert rotate(tmp_path, 5) == []
        file.write(b"6")
        assert rotate(tmp_path, 5) == ["node-a.log"]
        file.write(b"7")

        assert (path.read_bytes(), (tmp_path / "node-a.log.1").read_bytes()) == (b"7", b"123456")
        file.write(b"234567")
        assert rotate(tmp_path, 5) == ["node-a.log"]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["node-a.log", "node-a.log.1"]
    assert (tmp_path / "node-a.log.1").read_bytes() == b"7234567"


def test_a_full_disk_has_room_for_two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The older one makes room for the newer one."""
    path, older = tmp_path / "node-a.log", tmp_path / "node-a.log.1"
    path.write_bytes(b"123456")
    older.write_bytes(b"12345")

    def copied(source: Path, target: Path) -> None:
        if sum(one.stat().st_size for one in tmp_path.iterdir()) > len(b"123456"):
            raise OSError(errno.ENOSPC, "no space left")
        target.write_bytes(source.read_bytes())

    monkeypatch.setattr(shutil, "copyfile", copied)

    assert rotate(tmp_path, 5) == ["node-a.log"]
    assert (path.read_bytes(), older.read_bytes()) == (b"", b"123456")


def test_a_file_that_cannot_be_rotated_holds_up_no_other(tmp_path: Path) -> None:
    """The error is told after the others are done."""
    (tmp_path / "a.log").symlink_to(tmp_path / "nowhere")
    (tmp_path / "b.log").write_bytes(b"123456")

    with pytest.raises(OSError, match=r"a\.log"):
        rotate(tmp_path, 5)

    assert (tmp_path / "b.log.1").read_bytes() == b"123456"


async def test_a_full_disk_is_told_and_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It tries again later."""
    said: list[str] = []
    over = asyncio.Event()

    def failing(_: Path) -> None:
        if len(said) > 1:
            over.set()
        raise OSError("no space left")

    monkeypatch.setattr(rotation, "LOOK_S", 0.0)
    monkeypatch.setattr(rotation, "rotate", failing)
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(rotating(tmp_path, said.append))
        await over.wait()
        task.cancel()

    assert "no space left" in said[0]
