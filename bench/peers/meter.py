"""The cost of a process and its descendants, from /proc: CPU milliseconds, memory, bytes that a server has not read."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

PROC: Final = Path("/proc")
_UTIME, _STIME, _CUTIME, _CSTIME = 11, 12, 13, 14  # fields of stat after the name: 14 to 17 of proc(5)
_ESTABLISHED: Final = "01"  # TCP state in proc(5); a listener's queue counts connections, not bytes


def family(pid: int) -> list[int]:
    """The process id and those of all its descendants."""
    with suppress(psutil.NoSuchProcess):
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    return []


def cpu_ms(pid: int) -> float:
    """User and system time of the process and its descendants since each was started, and of those that ended."""
    total = 0.0
    for member in family(pid):
        own_ms, ended_ms = _stat_ms(member)
        threads_ms = 0.0
        for task in _tasks(member):
            with suppress(OSError):
                # The scheduler's count in nanoseconds, because `stat` counts in ticks of 10 ms, too coarse for rounds
                # of a fifth of a second; both are the sum of user and system time.
                threads_ms += int((task / "schedstat").read_text().split()[0]) / 1e6
        # `schedstat` forgets threads that have ended and children that were waited for, so `stat` counts where it is
        # higher, and for such children.
        total += max(threads_ms, own_ms) + ended_ms
    return total


def rss_kib(pid: int) -> int:
    """Resident memory of the process and its descendants, in KiB."""
    total = 0
    for member in family(pid):
        with suppress(OSError):
            for line in (PROC / str(member) / "status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    total += int(line.split()[1])
    return total


def unread_bytes(port: int) -> int:
    """Bytes that clients sent to an IPv4 port and its server has not read: the connections' receive queues."""
    total = 0
    for line in (PROC / "net" / "tcp").read_text().splitlines()[1:]:
        _, local, _, state, queues, *_ = line.split()
        if int(local.partition(":")[2], 16) == port and state == _ESTABLISHED:
            total += int(queues.partition(":")[2], 16)
    return total


def _stat_ms(pid: int) -> tuple[float, float]:
    """Milliseconds of a process with all its threads, and of its children that were waited for; in ticks."""
    with suppress(OSError):
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        tick_ms = 1000 / os.sysconf("SC_CLK_TCK")
        ticks = [int(fields[number]) for number in (_UTIME, _STIME, _CUTIME, _CSTIME)]
        return (ticks[0] + ticks[1]) * tick_ms, (ticks[2] + ticks[3]) * tick_ms
    return 0.0, 0.0


def _tasks(pid: int) -> list[Path]:
    with suppress(OSError):
        return list((PROC / str(pid) / "task").iterdir())
    return []
