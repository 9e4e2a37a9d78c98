"""The state directory: one stack at a time, and what killed ones leave."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.state import LOCK, StateTaken, claimed


def test_a_second_stack_on_the_same_directory_is_refused(tmp_path: Path) -> None:
    """The error names the directory, the owner, and the way out."""
    with (
        claimed(tmp_path / "s", patience_s=0),
        pytest.raises(StateTaken, match=rf"{tmp_path / 's'} \(pid {os.getpid()}\).*--state"),
        claimed(tmp_path / "s", patience_s=0),
    ):
        pass


def test_a_directory_is_free_again_afterwards(tmp_path: Path) -> None:
    """The lock ends with its holder."""
    for _ in range(2):
        with claimed(tmp_path, patience_s=0) as state:
            assert state.logs.is_dir()


def test_two_directories_do_not_meet(tmp_path: Path) -> None:
    """Each has a lock of its own."""
    with claimed(tmp_path / "a", patience_s=0) as a, claimed(tmp_path / "b", patience_s=0) as b:
        assert a.folder != b.folder


def test_fresh_empties_all_but_the_lock(tmp_path: Path) -> None:
    """Files, folders and links go; what a link points to stays."""
    outside, folder = tmp_path / "outside", tmp_path / "state"
    for made in (outside, folder / "store" / "deep"):
        made.mkdir(parents=True)
    (folder / "stack.json").write_text("{}")
    (folder / "link").symlink_to(outside)

    with claimed(folder, patience_s=0, fresh=True):
        assert sorted(path.name for path in folder.iterdir()) == [LOCK, "logs"]
    assert outside.is_dir()


def test_a_directory_stays_taken_while_children_of_a_killed_stack_live(tmp_path: Path) -> None:
    """The lock is inherited; the claim waits its patience and then says what to look for."""
    leaver = (
        "import subprocess, sys; from pathlib import Path; from deploy.state import claimed\n"
        f"with claimed(Path({str(tmp_path)!r}), patience_s=0) as state:\n"
        "    child = subprocess.Popen(['cat'], stdin=0, stdout=subprocess.DEVNULL, pass_fds=[state.lock])\n"
        "    print(child.pid, flush=True)\n"
        "    import os; os._exit(9)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", leaver], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as killed:
        assert killed.stdout
        assert killed.stdin
        killed.stdout.readline()
        assert killed.wait() == 9

        with pytest.raises(StateTaken, match="processes of a killed stack"), claimed(tmp_path, patience_s=0):
            pass
        killed.stdin.close()  # ends the child
        with claimed(tmp_path, patience_s=30):
            pass


@pytest.mark.parametrize("place", ["/proc/snapsurge", "file/state"])
def test_a_folder_that_cannot_be_made_is_said_so(tmp_path: Path, place: str) -> None:
    """It is the command's argument: the command does not begin (status 2)."""
    (tmp_path / "file").touch()
    with pytest.raises(StateTaken, match=r"cannot be used: .*--state"), claimed(tmp_path / place, patience_s=0):
        pass
