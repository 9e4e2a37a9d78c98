"""bench.peers.meter: CPU and memory of real processes."""

import os
import subprocess
import sys
from contextlib import suppress

from bench.peers.meter import cpu_ms, family, rss_kib


def test_work_is_seen_and_so_are_children() -> None:
    """A child that has worked adds its CPU and memory to its parent's."""
    before, alone = cpu_ms(os.getpid()), rss_kib(os.getpid())
    work = "sum(range(3_000_000)); print('done', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", work], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout
        assert child.stdout.readline() == "done\n"
        assert child.pid in family(os.getpid())
        assert cpu_ms(os.getpid()) - before > 10
        assert rss_kib(os.getpid()) > alone + 1000
        with suppress(BrokenPipeError):
            child.communicate("\n")


def test_what_is_gone_costs_nothing() -> None:
    """No error for a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()

    assert (family(child.pid), cpu_ms(child.pid), rss_kib(child.pid)) == ([], 0.0, 0)
