"""A file is written whole or not at all."""

import os
import stat
import threading
from pathlib import Path

import pytest

from bench.files import WriteError, replacing


def test_new_content_replaces_the_old_at_the_end(tmp_path: Path) -> None:
    """Until then the old content is there; afterwards nothing lies beside it, and its mode is that of a new file."""
    path = tmp_path / "f"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    (tmp_path / "ordinary").write_bytes(b"")

    assert path.read_bytes() == b"new"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["f", "ordinary"]
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "ordinary").stat().st_mode)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    """Half a file is nobody's."""
    path = tmp_path / "f"
    path.write_bytes(b"old")

    def write() -> None:
        with replacing(path) as file:
            file.write(b"new")
            raise error

    with pytest.raises(error):
        write()

    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("f", b"old")]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """Its target gets the content."""
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with replacing(tmp_path / "link") as file:
        file.write(b"new")

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


def test_a_pipe_is_written_directly(tmp_path: Path) -> None:
    """It cannot be replaced."""
    path, found = tmp_path / "pipe", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: found.append(path.read_bytes()))
    reader.start()
    with replacing(path) as file:
        file.write(b"new")
    reader.join(20)

    assert found == [b"new"]
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A folder that is not there, or one in the file's place."""
    with pytest.raises(WriteError, match=r"cannot write .*none/f: No such file"), replacing(tmp_path / "none" / "f"):
        pass
    with pytest.raises(WriteError, match="Is a directory"), replacing(tmp_path):
        pass
