"""`python -m deploy up --redis-sentinel`: five servers, one address, and a post that is ready over a failover."""

import os
import signal
from pathlib import Path

import psutil
import pytest
from redis import Redis

from tests.e2e.test_stack_up import SMALL, Up, gone, until, up, upload

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def servers(stack: Up) -> dict[str, int]:
    """The process ids of the servers that run now, by name."""
    found = {one["name"]: one["pid"] for one in stack.record()["servers"]}
    return {name: pid for name, pid in found.items() if psutil.pid_exists(pid)}


def primary(stack: Up) -> int:
    """The process id of the primary that the first Sentinel names."""
    watcher = stack.record()["redis"].partition("://")[2].partition(",")[0].rpartition(":")[2]
    with Redis(port=int(watcher)) as sentinel:
        host, port = sentinel.sentinel_get_master_addr_by_name("snapsurge")
    with Redis(host, port, socket_timeout=1.0) as client:
        return int(client.info("server")["process_id"])


def test_a_stack_with_sentinels_renders_over_a_failover_and_stops_whole(tmp_path: Path) -> None:
    """The primary hangs, another one takes over; killed servers come back with the roles that they had."""
    with up(tmp_path / "state", "--port", "0", "--redis-sentinel", *SMALL) as stack:
        assert stack.record()["redis"].startswith("redis+sentinel://127.0.0.1:")
        there = servers(stack)
        assert there.keys() == {"redis-1", "redis-2", "sentinel-1", "sentinel-2", "sentinel-3"}
        assert upload(stack, "before")["state"] == "ready"

        old = primary(stack)
        assert old == there["redis-1"]
        os.kill(old, signal.SIGSTOP)
        try:
            until(lambda: named(stack) == there["redis-2"])
            assert upload(stack, "after")["state"] == "ready"
        finally:
            os.kill(old, signal.SIGKILL)
        os.kill(there["sentinel-2"], signal.SIGKILL)
        until(lambda: len(servers(stack)) == 5 and not {old, there["sentinel-2"]} & {*servers(stack).values()})
        assert primary(stack) == there["redis-2"]
        pids = stack.pids()
        assert stack.stop(signal.SIGTERM) == 0
        until(lambda: gone(pids - {old}))


def named(stack: Up) -> int:
    """The same; 0 while the primary does not answer."""
    try:
        return primary(stack)
    except Exception:  # noqa: BLE001 - it hangs, or is not yet replaced
        return 0
