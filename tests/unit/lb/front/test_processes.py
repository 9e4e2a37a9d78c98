"""lb.front.processes: forking, restarting, stopping; each case in a parent process of its own."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lb.front.processes import reserve

ROOT = Path(__file__).resolve().parents[4]
PARENT = """
import os, signal, sys
from pathlib import Path
from lb.front import processes
folder = Path(sys.argv[1])
def serve(index):
    {body}
def taken(index):
    return (folder / f"taken-{{index}}").exists()
sys.exit(processes.ProcessGroup(serve, taken).run({count}))
"""
# Waits in one system call: a handler and `pause` would sleep for ever when the signal comes between the two.
DRAINS = """
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    (folder / f"{index}-{os.getpid()}").touch()
    signal.sigwait([signal.SIGTERM])
    return 0
"""


def parent(folder: Path, body: str, count: int = 2) -> subprocess.Popen[str]:
    """A family whose processes run this body."""
    text = PARENT.format(body=body.strip(), count=count)
    return subprocess.Popen([sys.executable, "-c", text, str(folder)], cwd=ROOT, stderr=subprocess.PIPE, text=True)


def names(folder: Path, count: int) -> list[str]:
    """The marks that processes made, once there are so many; pytest-timeout bounds the wait."""
    while len(found := sorted(path.name for path in folder.iterdir())) < count:
        os.sched_yield()
    return found


def test_the_word_to_stop_reaches_all(tmp_path: Path) -> None:
    """SIGTERM to the parent drains every process, and the status is 0."""
    family = parent(tmp_path, DRAINS, count=3)
    names(tmp_path, 3)
    family.send_signal(signal.SIGTERM)

    assert family.communicate()[1] == ""
    assert family.returncode == 0


def test_a_stop_while_processes_are_started_starts_no_more(tmp_path: Path) -> None:
    """SIGTERM between two starts: who would start after it would never hear of it, and serve for ever."""
    told = "if index == 0: os.kill(os.getppid(), signal.SIGTERM)\n    " + DRAINS.strip()
    family = parent(tmp_path, told, count=100)
    try:
        family.communicate(timeout=60)
    finally:
        family.kill()

    assert len(list(tmp_path.iterdir())) < 100


def test_one_that_dies_is_started_anew(tmp_path: Path) -> None:
    """The place of a killed process is taken, the others stay."""
    family = parent(tmp_path, DRAINS)
    before = names(tmp_path, 2)
    os.kill(int(before[0].split("-")[1]), signal.SIGKILL)
    after = names(tmp_path, 3)
    family.send_signal(signal.SIGTERM)
    family.communicate()

    assert sorted(name.split("-")[0] for name in after) == ["0", "0", "1"]
    assert family.returncode == 0


def test_processes_that_are_replaced_are_not_restarted_and_end_the_group(tmp_path: Path) -> None:
    """When every process has handed its sockets over, the parent ends too, with status 0."""
    family = parent(tmp_path, '(folder / f"{index}").touch(); return processes.REPLACED')

    assert family.communicate()[1] == ""
    assert (family.returncode, names(tmp_path, 2)) == (0, ["0", "1"])


def test_a_replaced_process_that_is_killed_while_it_drains_is_not_restarted(tmp_path: Path) -> None:
    """Its successor has its place: a new process would take the sockets away from that one."""
    body = """
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if index == 0:
        (folder / "taken-0").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    (folder / f"{index}-{os.getpid()}").touch()
    return processes.REPLACED
"""
    family = parent(tmp_path, body)
    said = family.communicate(timeout=60)[1]

    assert said.count("the new process group has taken over its socket") == 1
    assert [name.split("-")[0] for name in names(tmp_path, 2)] == ["1", "taken"]
    assert family.returncode == 0


@pytest.mark.parametrize("status", [1, 2])
def test_one_that_cannot_start_ends_the_family(tmp_path: Path, status: int) -> None:
    """A status that says so is not tried again, and becomes the parent's."""
    family = parent(tmp_path, f"return {status}")
    family.communicate()

    assert family.returncode == status


def test_a_failure_inside_is_told(tmp_path: Path) -> None:
    """An exception is logged and is status 1."""
    family = parent(tmp_path, "raise RuntimeError('so it was')", count=1)

    assert "so it was" in family.communicate()[1]
    assert family.returncode == 1


def test_no_process_outlives_its_parent(tmp_path: Path) -> None:
    """When the parent is killed the kernel tells its processes to stop."""
    family = parent(tmp_path, DRAINS.replace("return 0", '(folder / "told").touch(); return 0'), count=1)
    names(tmp_path, 1)
    family.kill()
    family.communicate()

    assert names(tmp_path, 2)[-1] == "told"


def test_a_reserved_port_can_be_shared_and_is_said_when_taken() -> None:
    """Others of the family listen beside it; a stranger's port is an error."""
    with reserve("127.0.0.1", 0) as reserved, socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(reserved.getsockname())
        other.listen()
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        with pytest.raises(OSError, match="in use"):
            reserve(*stranger.getsockname())
