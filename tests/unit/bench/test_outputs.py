"""bench.outputs: a file that cannot be written, or that is read as well, is refused before anything is done."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.files import WriteError, write
from bench.outputs import ROOM_BYTES, SameFile, check, distinct, tried


def test_what_can_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    """An old file keeps its content, a folder is made, nothing lies beside; what was not asked for is no output."""
    (tmp_path / "old").write_bytes(b"old")
    check({"--report": tmp_path / "old", "--html": tmp_path / "new" / "p.html", "--seal": None}, {"TRACE": None})

    assert (tmp_path / "old").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["new", "old"]


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """A folder in its place, a file in its folder's place, a name that is too long."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WriteError, match=r"cannot write .*: Is a directory"):
        check({"--report": tmp_path}, {})
    with pytest.raises(WriteError, match=r"cannot write .*file/r\.json: "):
        check({"--report": tmp_path / "file" / "r.json"}, {})
    with pytest.raises(WriteError, match="File name too long"):
        check({"--report": tmp_path / ("r" * 250)}, {})


FULL = """
import resource, signal, sys
from pathlib import Path
from bench.outputs import check
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
check({"--report": Path(sys.argv[1])}, {})
"""


@pytest.mark.parametrize(("room", "good"), [(ROOM_BYTES, True), (ROOM_BYTES - 1, False)])
def test_there_must_be_room(tmp_path: Path, room: int, *, good: bool) -> None:
    """A limit of the size of files stands for a full disk; what was tried is deleted."""
    words = [sys.executable, "-c", FULL, str(tmp_path / "r.json"), str(room)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode == 0) == good, done.stderr
    assert ("WriteError: cannot write" in done.stderr) != good
    assert list(tmp_path.iterdir()) == []


def test_an_output_is_no_input_and_no_other_output(tmp_path: Path) -> None:
    """By its name, through a link, by another way to it; the text names both. Nothing is made of it."""
    (tmp_path / "t.gz").write_bytes(b"trace")
    (tmp_path / "link").symlink_to(tmp_path / "t.gz")
    os.link(tmp_path / "t.gz", tmp_path / "hard")
    (tmp_path / "d").mkdir()
    for name in ("t.gz", "link", "hard", "d/../t.gz"):
        with pytest.raises(SameFile, match=r"^--seal .* is the same file as TRACE: it would be overwritten$"):
            check({"--seal": tmp_path / name}, {"TRACE": tmp_path / "t.gz"})
    with pytest.raises(SameFile, match=r"--html .* is the same file as --report"):
        distinct({"--report": tmp_path / "r", "--html": tmp_path / "d" / ".." / "r"}, {})
    distinct({"--report": tmp_path / "r", "--html": tmp_path / "h"}, {"TRACE": tmp_path / "t.gz"})
    assert (tmp_path / "t.gz").read_bytes() == b"trace"


def test_a_device_takes_everything() -> None:
    """It cannot be replaced, and may be given twice."""
    check({"--report": Path("/dev/null"), "--html": Path("/dev/null")}, {"TRACE": Path("/dev/null")})


def test_what_fails_at_the_end_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In one line, and nothing is raised."""
    tried(lambda: write(tmp_path, b""))
    tried(lambda: write(tmp_path / "f", b"new"))

    assert capsys.readouterr().err == f"bench: cannot write {tmp_path}: Is a directory\n"
    assert (tmp_path / "f").read_bytes() == b"new"
