"""bench.peers.deployed: a stack that is started and ended, and the file that tells of it."""

import json
from pathlib import Path

import psutil
import pytest

from bench.peers.deployed import StackError, deployed, read
from tests.unit.bench.peers.stacks import STACK


def test_the_file_names_processes(tmp_path: Path) -> None:
    """By tier, and the servers by name."""
    file = tmp_path / "stack.json"
    file.write_text(json.dumps(STACK))

    record = read(file)
    pids = [record.pids(tier) for tier in ("balancer", "node", "worker", "autoscaler")]
    assert pids == [(11,), (12,), (13, 14), (15,)]
    assert [server.pid for server in record.named("redis-shard")] == [18]


@pytest.mark.parametrize("content", ["", "{", json.dumps(STACK | {"balancers": []}), json.dumps(STACK | {"nodes": []})])
def test_a_stack_that_does_not_run_is_refused(tmp_path: Path, content: str) -> None:
    """No file, half a file, or the file of a stack that has stopped."""
    file = tmp_path / "stack.json"
    if content:
        file.write_text(content)
    with pytest.raises(StackError, match=r"No such file|no description of a stack|nothing runs"):
        read(file)


@pytest.mark.timeout(600)
async def test_a_stack_runs_until_the_block_ends(tmp_path: Path) -> None:
    """With the options that are given."""
    async with deployed(tmp_path / "state", "--nodes", "1", "--balancers", "1", "--workers-min", "0") as file:
        record = read(file)
        assert (len(record.balancers), len(record.nodes)) == (1, 1)
        assert psutil.pid_exists(record.supervisor.pid)
    assert not psutil.pid_exists(record.supervisor.pid)


async def test_a_stack_that_does_not_start_says_why(tmp_path: Path) -> None:
    """In its own last words; the environment is passed on."""
    with pytest.raises(StackError, match=r"did not start: .*SNAPSURGE_DEPLOY_NONSENSE"):
        async with deployed(tmp_path / "state", environment=["SNAPSURGE_DEPLOY_NONSENSE=1"]):
            pass
