"""CPU time of each tier during a run, read from /proc for the processes that the stack file names.

Linux only: on other systems, and without a stack file, no CPU is reported.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

Tier = Literal["lb", "node", "worker"]
TIERS: Final[tuple[Tier, ...]] = ("lb", "node", "worker")
PROC: Final = Path("/proc")
UTIME_FIELD: Final = 11  # index after the process name, because the name may contain spaces and brackets
STIME_FIELD: Final = 12
STARTTIME_FIELD: Final = 19


class Balancer(msgspec.Struct, frozen=True):
    """A balancer in the stack file."""

    url: str
    pid: int | None = None


class Process(msgspec.Struct, frozen=True):
    """A node or a worker in the stack file."""

    pid: int | None = None


class Stack(msgspec.Struct, frozen=True):
    """The part of `DIR/stack.json` that this module needs; unknown fields are ignored."""

    balancers: tuple[Balancer, ...] = ()
    nodes: tuple[Process, ...] = ()
    workers: tuple[Process, ...] = ()


class Reading(msgspec.Struct, frozen=True):
    """A process at one instant: its start in clock ticks, which distinguishes reused pids, and its CPU in ms."""

    start: int
    cpu_ms: float


def read_stack(path: Path) -> Stack | None:
    """The content of the stack file; None when it does not exist or is being written."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Stack)
    except (OSError, msgspec.MsgspecError):
        return None


def serves(stack: Stack, targets: tuple[str, ...]) -> bool:
    """Whether any of the targets is a balancer of this stack."""
    urls = {balancer.url.rstrip("/") for balancer in stack.balancers}
    return any(target.rstrip("/") in urls for target in targets)


def read_process(pid: int) -> Reading | None:
    """CPU of a live process (proc(5): fields 14, 15 and 22); None when the process has ended."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    ticks = int(fields[UTIME_FIELD]) + int(fields[STIME_FIELD])
    return Reading(int(fields[STARTTIME_FIELD]), ticks * 1000 / os.sysconf("SC_CLK_TCK"))


def read_children(pid: int) -> tuple[int, ...]:
    """The live children of a process (proc(5), /proc/pid/task/tid/children); empty when the process has ended."""
    try:
        lists = [path.read_text() for path in (PROC / str(pid) / "task").glob("*/children")]
    except OSError:
        return ()
    return tuple(int(child) for children in lists for child in children.split())


class CpuMeter:
    """Sums the CPU of each tier over all processes that any sample found."""

    def __init__(
        self,
        stack_file: Path,
        read: Callable[[int], Reading | None] = read_process,
        children: Callable[[int], Sequence[int]] = read_children,
    ) -> None:
        self._file, self._read, self._children = stack_file, read, children
        self._begun = False
        self._first: dict[tuple[Tier, int, int], float] = {}
        self._last: dict[tuple[Tier, int, int], float] = {}

    def sample(self) -> None:
        """Read the CPU of every process that the stack file names now."""
        # Each time, because processes may be restarted during a run.
        stack = read_stack(self._file)
        if stack is None:
            return
        tiers: dict[Tier, tuple[Balancer | Process, ...]] = {
            "lb": stack.balancers,
            "node": stack.nodes,
            "worker": stack.workers,
        }
        for tier, members in tiers.items():
            pids = [member.pid for member in members if member.pid]
            # Children, too: a worker renders in a child process.
            for pid in (*pids, *(child for parent in pids for child in self._children(parent))):
                reading = self._read(pid)
                if reading:
                    # With its start, because a pid may be used again.
                    key = (tier, pid, reading.start)
                    # A process that ran at the first sample counts from there, one that was started later from zero.
                    self._first.setdefault(key, 0.0 if self._begun else reading.cpu_ms)
                    self._last[key] = reading.cpu_ms
        self._begun = True

    def spent_ms(self) -> dict[Tier, float | None]:
        """CPU ms of each tier between the first and the last sample; None for a tier without any reading."""
        spent: dict[Tier, float | None] = dict.fromkeys(TIERS)
        for key, last in self._last.items():
            spent[key[0]] = (spent[key[0]] or 0.0) + last - self._first[key]
        return spent
