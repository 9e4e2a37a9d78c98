"""What a process and its children have cost so far: CPU milliseconds, memory and what it has not read, from /proc.

The scheduler's own count (`schedstat`, nanoseconds of every thread) is taken, because `stat` counts in ticks of 10 ms,
too coarse for rounds of a fifth of a second; both are the sum of user and system time.
"""

from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

PROC: Final = Path("/proc")
_ESTABLISHED: Final = "01"  # proc(5): the kernel's TCP states; a listener's queue counts connections


def family(pid: int) -> list[int]:
    """The process and all below it."""
    with suppress(psutil.NoSuchProcess):
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    return []


def cpu_ms(pid: int) -> float:
    """User and system time of the family since each was born."""
    nanoseconds = 0
    for member in family(pid):
        for task in _tasks(member):
            with suppress(OSError):
                nanoseconds += int((task / "schedstat").read_text().split()[0])
    return nanoseconds / 1e6


def rss_kib(pid: int) -> int:
    """Resident memory of the family."""
    total = 0
    for member in family(pid):
        with suppress(OSError):
            for line in (PROC / str(member) / "status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    total += int(line.split()[1])
    return total


def unread_bytes(port: int) -> int:
    """What clients of an IPv4 port have sent and its server has not yet read: the receive queues of its connections."""
    total = 0
    for line in (PROC / "net" / "tcp").read_text().splitlines()[1:]:
        _, local, _, state, queues, *_ = line.split()
        if int(local.partition(":")[2], 16) == port and state == _ESTABLISHED:
            total += int(queues.partition(":")[2], 16)
    return total


def _tasks(pid: int) -> list[Path]:
    with suppress(OSError):
        return list((PROC / str(pid) / "task").iterdir())
    return []
