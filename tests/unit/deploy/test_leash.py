"""The leash: a child dies with its supervisor, and so does what the child started."""

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from deploy import leash

ROOT = Path(__file__).resolve().parents[3]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
# A supervisor that starts one child which prints its pid, waits until that one runs, and is killed.
SUPERVISOR = """
import asyncio, os, signal, sys
from pathlib import Path
from deploy import leash
async def main():
    child = await leash.spawn(["sleep", "600"], environment={}, folder=Path("/"), output=asyncio.subprocess.DEVNULL)
    print(child.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


async def spawn(*command: str, nice: int = 0) -> asyncio.subprocess.Process:
    """A child whose output we read."""
    return await leash.spawn(
        command, environment={"PATH": os.defpath}, folder=ROOT, output=asyncio.subprocess.PIPE, nice=nice
    )


async def line(process: asyncio.subprocess.Process) -> str:
    """The next line that it prints."""
    assert process.stdout
    return (await process.stdout.readline()).decode().strip()


@LINUX
def test_a_child_dies_with_a_supervisor_that_is_killed() -> None:
    """SIGKILL leaves the supervisor no time to tell; the kernel does."""
    done = subprocess.run([sys.executable, "-c", SUPERVISOR], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(int(done.stdout)).wait(10)


async def test_a_child_leads_a_session_and_is_as_nice_as_asked() -> None:
    """A Ctrl-C at the terminal does not reach it, and it gives way."""
    child = await spawn(sys.executable, "-c", "import os; print(os.getsid(0), os.getpid(), os.nice(0))", nice=5)

    session, pid, nice = (await line(child)).split()
    await child.wait()
    assert session == pid
    assert int(nice) == os.nice(0) + 5


async def test_only_the_named_descriptors_are_inherited() -> None:
    """A lock may be handed down, anything else is closed."""
    kept, other = os.pipe()
    script = f"import os\nfor fd in ({kept}, {other}):\n  try: os.fstat(fd); print(fd)\n  except OSError: pass"
    child = await leash.spawn(
        [sys.executable, "-c", script], environment={}, folder=ROOT, output=asyncio.subprocess.PIPE, keep=[kept]
    )

    found, _ = await child.communicate()
    os.close(kept)
    os.close(other)
    assert found.split() == [str(kept).encode()]


async def orphaned(script: str, tmp_path: Path) -> tuple[int, psutil.Process]:
    """A child (its pid) that has started another one, printed that one's pid, and was killed."""
    written = tmp_path / "pid"
    with written.open("wb") as output:  # a pipe would be held open by the orphan, and asyncio waits for its end
        child = await leash.spawn(["sh", "-c", script], environment={}, folder=ROOT, output=output)
    while not written.read_text().endswith("\n"):
        await asyncio.to_thread(os.sched_yield)
    orphan = psutil.Process(int(written.read_text()))
    child.kill()
    await child.wait()
    assert orphan.is_running()
    return child.pid, orphan


async def test_what_a_dead_child_leaves_behind_is_ended(tmp_path: Path) -> None:
    """An orphaned grandchild goes by SIGTERM, and nothing of the group stays, not even a zombie."""
    leash.adopt_orphans()
    leader, orphan = await orphaned("sleep 600 & echo $!; wait", tmp_path)

    await leash.clear_group(leader, 600)

    assert not orphan.is_running()
    assert not leash.signal_group(leader, 0)


async def test_an_orphan_that_ignores_sigterm_is_killed_at_the_deadline(tmp_path: Path) -> None:
    """Patience ends."""
    leash.adopt_orphans()
    leader, orphan = await orphaned("trap '' TERM; sleep 600 & echo $!; wait", tmp_path)

    await leash.clear_group(leader, 0.1)

    assert not orphan.is_running()
    assert not leash.signal_group(leader, 0)


def test_children_may_open_as_many_files_as_the_system_allows() -> None:
    """The soft limit is the hard one afterwards."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, before[1]), before[1]))
        leash.allow_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
