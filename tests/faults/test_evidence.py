"""A fault gives evidence for a process that it hit, and raises Void for a process that it did not hit."""

import asyncio
import random
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from tests.faults.catalogue import FAULTS
from tests.faults.evidence import Void, frozen, proven, signalled
from tests.faults.rounds import chosen_by

IGNORES = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"


@pytest.fixture
def process() -> Iterator["subprocess.Popen[str]"]:
    """A process that ignores SIGTERM."""
    with subprocess.Popen([sys.executable, "-c", IGNORES], stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout
        assert started.stdout.readline()
        yield started
        started.kill()


def test_what_is_not_so_is_void() -> None:
    """A fault without evidence ends its round."""
    assert proven(True, "it rained") == "it rained"
    with pytest.raises(Void, match="it rained"):
        proven(False, "it rained")


async def test_a_signal_counts_once_the_process_is_gone(process: "subprocess.Popen[str]") -> None:
    """A signal is evidence when it ends the process, and void when it is ignored or the process does not exist."""
    with pytest.raises(Void, match="outlived SIGTERM"):
        await signalled(process.pid, signal.SIGTERM, gone_s=0.05)
    assert await signalled(process.pid, signal.SIGKILL) == f"pid {process.pid} ended by SIGKILL"
    process.wait()
    with pytest.raises(Void, match="was gone before"):
        await signalled(process.pid, signal.SIGKILL)


async def test_a_stop_counts_if_it_lasted(process: "subprocess.Popen[str]") -> None:
    """A stop that lasted is evidence; a process that was woken early is void; the process runs again in both cases."""
    assert "stood still" in await frozen(process.pid, 0.05)

    async def wake() -> None:
        while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
            await asyncio.sleep(0.01)
        process.send_signal(signal.SIGCONT)

    said, _ = await asyncio.gather(frozen(process.pid, 0.2), wake(), return_exceptions=True)
    assert isinstance(said, Void)
    assert psutil.Process(process.pid).status() != psutil.STATUS_STOPPED


def test_rounds_follow_from_their_seed() -> None:
    """The same seed chooses the same faults, with different targets; over many seeds every fault is chosen."""
    chosen = [chosen_by(random.Random(f"1:{number}"), "minio") for number in range(300)]

    assert chosen == [chosen_by(random.Random(f"1:{number}"), "minio") for number in range(300)]
    assert all(len({fault.target for fault in faults}) == len(faults) for faults in chosen)
    possible = {fault.name for fault in FAULTS if "minio" in fault.stores and not fault.alone}
    assert {fault.name for faults in chosen for fault in faults} == possible


def test_names_of_faults_are_theirs_alone() -> None:
    """Every fault has a unique name, because a row of the table is identified by it."""
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
