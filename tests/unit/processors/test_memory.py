"""Memory: a bound that is really there, and a question that is answered before anything is taken."""

import subprocess
import sys
from pathlib import Path

import pytest

from processors.memory import MIB, PROCESS_BYTES, ensure

ROOT = Path(__file__).parents[3]


def said(script: str) -> str:
    """What a Python of its own prints for this, which has to end well."""
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_what_there_is_is_granted() -> None:
    """A question costs nothing: a gigabyte asked for is none taken."""
    ensure(1)
    ensure(1024 * MIB)


def test_what_no_machine_has_is_not() -> None:
    """More than the addresses there are is a MemoryError, not an OSError."""
    with pytest.raises(MemoryError):
        ensure(1 << 60)


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts mappings on Linux alone")
def test_a_bound_process_is_told_in_time() -> None:
    """Under the bound yes, over it MemoryError, both for who asks and for who takes; and it lives."""
    lines = said(f"""
from processors import memory
memory.bound(64 * memory.MIB)
memory.ensure(64 * memory.MIB)
for take in (memory.ensure, bytearray):
    try:
        take({PROCESS_BYTES} + 64 * memory.MIB)
    except MemoryError:
        print("told")
""")

    assert lines.split() == ["told", "told"]


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts mappings on Linux alone")
def test_freed_memory_that_the_heap_keeps_is_there_for_the_asking() -> None:
    """Blocks from the heap that were freed count to the process; they are given back before anyone is refused."""
    lines = said("""
from pathlib import Path
from processors import memory

def taken():
    return int(Path("/proc/self/status").read_text().partition("VmData:")[2].split()[0]) << 10

memory.bound(memory.MIB)
before = taken()
blocks = [bytearray(12 * memory.MIB) for _ in range(5)]
del blocks
print(taken() - before > 40 * memory.MIB)
memory.ensure(memory.PROCESS_BYTES + memory.MIB - before - 16 * memory.MIB)
print("granted")
""")

    assert lines.split() == ["True", "granted"]


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts mappings on Linux alone")
def test_a_lower_limit_of_the_administrator_stays() -> None:
    """Who may not raise a limit works under it."""
    assert said("""
import resource
from processors import memory
resource.setrlimit(resource.RLIMIT_DATA, (256 << 20, 256 << 20))
memory.bound(memory.MIB)
print(resource.getrlimit(resource.RLIMIT_DATA)[0] <= memory.PROCESS_BYTES + memory.MIB)
""").endswith("True")
