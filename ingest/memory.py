"""How many bytes of uploads a node may hold: from what its cgroup or the machine leaves it.

A body lies in memory once, and what its sockets hold on the way in and out is charged to the same limit, so half of
what is left beside the interpreter is the budget. A cgroup's limit is the node's own; without one the machine's memory
is shared with other nodes, workers and perhaps the store, so a node takes an eighth.
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
# glibc's malloc.h: M_ARENA_MAX, M_MMAP_THRESHOLD. Left alone, the threads of the file store have an arena each, and the
# first large body that is freed makes room for all later ones in the heap, which never shrinks again.
_MALLOPT: Final = {-8: 2, -3: 1024 * 1024}
Read = Callable[[str], str]


def budget_bytes(cgroup_bytes: int | None, ram_bytes: int, *, least: int) -> int:
    """The budget by the cgroup's limit (None = none) and the machine's RAM; never under `least`, one upload."""
    if cgroup_bytes is not None and cgroup_bytes < ram_bytes:
        return max(least, (cgroup_bytes - PROCESS_BYTES) // COPIES)
    return max(least, ram_bytes // SHARED_PART)


def cgroup_bytes(read: Read) -> int | None:
    """The least limit of this process's cgroup and those above it, v2 or v1; None where there is none.

    `read` gives a file's text and raises OSError.
    """
    found = []
    for name in _limit_files(_text(read, "/proc/self/cgroup")):
        text = _text(read, name).strip()
        if text.isdigit():
            found.append(int(text))
    return min(found, default=None)


def ram_bytes(read: Read) -> int:
    """The machine's memory; a GiB where nothing says how much there is."""
    total = re.search(r"^MemTotal:\s+(\d+) kB$", _text(read, "/proc/meminfo"), re.MULTILINE)
    return int(total[1]) * 1024 if total else 1024 * MIB


def give_back() -> None:
    """Have large bodies leave the process when they are freed; elsewhere than on glibc this may do nothing."""
    with contextlib.suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in _MALLOPT.items():
            mallopt(parameter, value)


def found_bytes(*, least: int) -> int:
    """The budget of this process."""
    return budget_bytes(cgroup_bytes(read_file), ram_bytes(read_file), least=least)


def read_file(name: str) -> str:
    """The text of a file of the kernel's."""
    return Path(name).read_text(encoding="ascii")


def _text(read: Read, name: str) -> str:
    try:
        return read(name)
    except (OSError, ValueError):
        return ""


def _limit_files(cgroups: str) -> Iterator[str]:
    """Where limits may stand, by the lines `hierarchy:controllers:path` of `/proc/self/cgroup`; v2 has none."""
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
