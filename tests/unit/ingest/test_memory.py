"""The memory budget by what cgroups and the kernel say, v1 and v2, in containers and outside."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from ingest.memory import MIB, PROCESS_BYTES, budget_bytes, cgroup_bytes, found_bytes, ram_bytes

ROOT = Path(__file__).resolve().parents[3]
GIB = 1024 * MIB
FOREVER = "9223372036854771712\n"


def files(found: Mapping[str, str]) -> Callable[[str], str]:
    """A machine with only these files."""

    def read(name: str) -> str:
        if name not in found:
            raise FileNotFoundError(name)
        return found[name]

    return read


@pytest.mark.parametrize(
    ("found", "limit"),
    [
        ({}, None),
        ({"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": "1073741824\n"}, GIB),
        ({"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": "max\n"}, None),
        (
            {
                "/proc/self/cgroup": "0::/a.slice/b\n",
                "/sys/fs/cgroup/a.slice/b/memory.max": "max\n",
                "/sys/fs/cgroup/a.slice/memory.max": "536870912\n",
            },
            GIB // 2,
        ),
        (
            {
                "/proc/self/cgroup": "7:cpu:/d/x\n5:memory:/d/x\n0::/\n",
                "/sys/fs/cgroup/memory/d/x/memory.limit_in_bytes": "268435456\n",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes": FOREVER,
            },
            GIB // 4,
        ),
    ],
)
def test_the_least_limit_above_a_process_counts(found: Mapping[str, str], limit: int | None) -> None:
    """`max` and a missing file are no limit; a parent's holds for its children."""
    assert cgroup_bytes(files(found)) == limit


def test_what_cannot_be_read_is_no_limit() -> None:
    """A name of a cgroup in letters that we do not read ends no start."""

    def read(name: str) -> str:
        return b"0::/\xc3\xa4".decode("ascii")

    assert cgroup_bytes(read) is None


def test_the_budget_is_half_of_what_a_cgroup_leaves() -> None:
    """A limit at or above the RAM is none: then an eighth of the RAM; one upload always fits."""
    assert budget_bytes(GIB, 8 * GIB, least=1) == (GIB - PROCESS_BYTES) // 2
    assert budget_bytes(None, 8 * GIB, least=1) == GIB
    assert budget_bytes(8 * GIB, 8 * GIB, least=1) == GIB
    assert budget_bytes(int(FOREVER), 8 * GIB, least=1) == GIB
    assert budget_bytes(PROCESS_BYTES, 8 * GIB, least=7) == 7
    assert budget_bytes(None, 8 * MIB, least=2 * MIB) == 2 * MIB


def test_the_ram_is_what_the_kernel_says() -> None:
    """In KiB; a GiB where nobody says."""
    assert ram_bytes(files({"/proc/meminfo": "MemTotal:       16384 kB\nMemFree: 1 kB\n"})) == 16 * MIB
    assert ram_bytes(files({})) == GIB


def test_this_machine_has_a_budget() -> None:
    """Whatever it is, an upload fits."""
    assert found_bytes(least=20 * MIB) >= 20 * MIB


FREEING = """
from pathlib import Path
from ingest.memory import MIB, give_back
def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
give_back()
bodies = [bytes([1]) * (2 * MIB) for _ in range(50)]
full = resident_bytes()
del bodies[::2]
print((full - resident_bytes()) // MIB)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_freed_bodies_leave_the_process() -> None:
    """Those of the size of a large picture, every second one of fifty: nearly all of them, in a new process."""
    freed = subprocess.run([sys.executable, "-c", FREEING], cwd=ROOT, capture_output=True, text=True, check=True)

    assert int(freed.stdout) > 40
