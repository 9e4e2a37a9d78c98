"""The bytes of uploads that a node may hold, derived from the memory limit of its cgroup or the machine's RAM.

A body is in memory once, and its socket buffers on the way in and out count towards the same limit. So the budget is
half of what the interpreter leaves. A cgroup's limit is for this node alone. Without one the node shares the machine's
memory with other nodes, workers and perhaps the store, so it uses an eighth.
"""

import contextlib
import ctypes
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Final

MIB: Final = 1024 * 1024
PROCESS_BYTES: Final = 96 * MIB  # interpreter, libraries, connections
COPIES: Final = 2
SHARED_PART: Final = 8
# glibc's malloc.h: M_ARENA_MAX, M_MMAP_THRESHOLD. By default each thread of the file store gets its own arena, and
# after the first large body is freed, later large bodies are allocated in the heap, which never shrinks again.
_MALLOPT: Final = {-8: 2, -3: 1024 * 1024}
Read = Callable[[str], str]


def budget_bytes(cgroup_bytes: int | None, ram_bytes: int, *, least: int) -> int:
    """The budget by the cgroup's limit (None: no limit) and the machine's RAM; at least `least`, one upload."""
    if cgroup_bytes is not None and cgroup_bytes < ram_bytes:
        return max(least, (cgroup_bytes - PROCESS_BYTES) // COPIES)
    return max(least, ram_bytes // SHARED_PART)


def cgroup_bytes(read: Read) -> int | None:
    """The lowest limit of this process's cgroup and its ancestors, v2 or v1; None if there is none.

    `read` returns a file's text and raises OSError.
    """
    found = []
    for name in _limit_files(_text(read, "/proc/self/cgroup")):
        text = _text(read, name).strip()
        if text.isdigit():
            found.append(int(text))
    return min(found, default=None)


def ram_bytes(read: Read) -> int:
    """The machine's RAM in bytes; 1 GiB if unknown."""
    total = re.search(r"^MemTotal:\s+(\d+) kB$", _text(read, "/proc/meminfo"), re.MULTILINE)
    return int(total[1]) * 1024 if total else 1024 * MIB


def give_back() -> None:
    """Make glibc return large freed bodies to the kernel; may do nothing with another C library."""
    with contextlib.suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in _MALLOPT.items():
            mallopt(parameter, value)


def found_bytes(*, least: int) -> int:
    """The budget of this process, on this machine."""
    return budget_bytes(cgroup_bytes(read_file), ram_bytes(read_file), least=least)


def read_file(name: str) -> str:
    """The text of a file in /proc or /sys."""
    return Path(name).read_text(encoding="ascii")


def _text(read: Read, name: str) -> str:
    try:
        return read(name)
    except (OSError, ValueError):
        return ""


def _limit_files(cgroups: str) -> Iterator[str]:
    """Files that may hold a limit, from lines `hierarchy:controllers:path` in /proc/self/cgroup; v2 names none."""
    for line in cgroups.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            root, name = "/sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            root, name = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        own = PurePosixPath("/" + path.lstrip("/"))
        for folder in (own, *own.parents):
            yield f"{root}{str(folder).rstrip('/')}/{name}"
