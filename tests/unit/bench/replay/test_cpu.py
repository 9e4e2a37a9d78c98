"""CPU by tier over processes that come and go."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.replay.cpu import CpuMeter, Reading, Stack, read_children, read_process, read_stack, serves


def stack_file(folder: Path, nodes: list[int], workers: list[int]) -> Path:
    """A stack file as `deploy up` writes it."""
    path = folder / "stack.json"
    balancers = [{"url": "http://127.0.0.1:8080", "admin": "http://127.0.0.1:8090", "pid": 1}]
    found = {"balancers": balancers, "nodes": [{"id": "a", "url": "x", "pid": pid} for pid in nodes]}
    found |= {"workers": [{"pid": pid} for pid in workers], "redis": "r", "store": "s", "autoscaler": {"pid": 9}}
    path.write_text(json.dumps(found))
    return path


def test_processes_are_summed_by_tier_across_restarts(tmp_path: Path) -> None:
    """Old ones count from the first sample, new ones from zero, dead ones keep their last value."""
    cpu = {1: Reading(5, 100.0), 2: Reading(5, 1000.0), 3: Reading(5, 2000.0)}
    path = stack_file(tmp_path, [2, 3], [])
    meter = CpuMeter(path, cpu.get, lambda _: ())
    meter.sample()
    cpu |= {1: Reading(5, 130.0), 2: Reading(5, 1050.0), 3: Reading(5, 2007.0)}
    meter.sample()
    del cpu[3]
    cpu[2] = Reading(77, 4.0)  # the same pid, another process
    cpu[8] = Reading(70, 9.0)
    stack_file(tmp_path, [2], [8])
    meter.sample()

    assert meter.spent_ms() == {"lb": 30.0, "node": 50.0 + 7.0 + 4.0, "worker": 9.0}


def test_the_children_of_a_process_count_as_its_own(tmp_path: Path) -> None:
    """A worker renders in one, and gets another when it is ended."""
    cpu = {1: Reading(5, 0.0), 2: Reading(5, 10.0), 20: Reading(5, 100.0)}
    children = {2: [20]}
    meter = CpuMeter(stack_file(tmp_path, [], [2]), cpu.get, lambda pid: children.get(pid, []))
    meter.sample()
    cpu[20] = Reading(5, 150.0)
    meter.sample()
    children[2], cpu[21] = [21], Reading(9, 7.0)
    meter.sample()

    assert meter.spent_ms() == {"lb": 0.0, "node": None, "worker": 57.0}


def test_what_is_not_seen_is_not_known(tmp_path: Path) -> None:
    """No file, no numbers; a half-written file counts as none."""
    meter = CpuMeter(tmp_path / "none.json")
    meter.sample()
    (tmp_path / "half.json").write_text('{"nodes": [')

    assert meter.spent_ms() == {"lb": None, "node": None, "worker": None}
    assert read_stack(tmp_path / "half.json") is None


def test_a_stack_is_ours_if_it_has_the_target(tmp_path: Path) -> None:
    """A trailing slash makes no difference."""
    stack = read_stack(stack_file(tmp_path, [], []))

    assert isinstance(stack, Stack)
    assert serves(stack, ("http://127.0.0.1:8080/",))
    assert not serves(stack, ("http://127.0.0.1:9999",))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_live_process_has_a_reading() -> None:
    """Ours; and none for a pid that cannot be."""
    found = read_process(os.getpid())

    assert found is not None
    assert found.cpu_ms > 0
    assert read_process(2**30) is None


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_live_children_are_found() -> None:
    """Ours while it runs; and none of a pid that cannot be."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in read_children(os.getpid())
    assert child.pid not in read_children(os.getpid())
    assert read_children(2**30) == ()
