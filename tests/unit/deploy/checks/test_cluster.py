"""deploy.checks.cluster: pods become programs, reached by kubectl; here a script that answers as kubectl does."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from deploy.checks import gathering
from deploy.checks.cluster import ASKED_MAX, of_cluster
from deploy.checks.facts import About, Inspection, Program, Redis
from deploy.checks.targets import Where
from tests.erasure import eventually

KUBECTL = """#!/bin/sh
[ "$1 $2" = "--namespace photos" ] || { echo "wrong namespace" >&2; exit 1; }
case "$3" in
  get) cat "$(dirname "$0")/pods.json" ;;
  exec) echo '{"workers": 7, "redis": [], "store": {}}' ;;
  port-forward)
    [ "$4" = pod/balancer-1 ] || exit 1
    echo "Forwarding from 127.0.0.1:$(cat "$(dirname "$0")/port") -> ${5#:}"
    exec sleep 600 ;;
esac
"""
# Like a wrapper whose kubectl does not come back.
HANGING = """#!/bin/sh
case "$3" in
  get) cat "$(dirname "$0")/pods.json"; exit ;;
esac
trap '' TERM INT
sleep 600 &
echo $! >> "$(dirname "$0")/started"
wait
"""
ABOUT = b'{"program": "balancer", "now_ms": 1, "code": {"lb": "1"}}'


def pod(name: str, tier: str, phase: str = "Running", **meta: str) -> dict[str, Any]:
    """A pod as Kubernetes lists it."""
    ports = [{"name": "admin" if tier == "balancer" else "http", "containerPort": 8090}]
    return {
        "metadata": {"name": name, "labels": {"app": "snapsurge", "tier": tier}, **meta},
        "spec": {"containers": [{"name": "x", "ports": [{"name": "other", "containerPort": 1}, *ports]}]},
        "status": {"phase": phase, "podIP": "10.1.0.1"},
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on PATH with a kubectl."""
    program = tmp_path / "kubectl"
    program.write_text(KUBECTL)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")  # noqa: TID251 - the script needs its tools
    return tmp_path


def listed(folder: Path, *pods: dict[str, Any]) -> None:
    """What kubectl lists."""
    (folder / "pods.json").write_text(json.dumps({"items": pods}))


async def test_pods_are_programs_by_their_tier(folder: Path) -> None:
    """Those that end are left out, and those of other tiers; one that does not run is told; some workers suffice."""
    workers = [pod(f"worker-{number:02}", "worker") for number in range(ASKED_MAX + 1)]
    listed(
        folder,
        pod("node-0", "node"),
        pod("balancer-1", "balancer"),
        pod("balancer-2", "balancer", phase="Pending"),
        pod("old", "node", deletionTimestamp="2026-01-01T00:00:00Z"),
        pod("placeholder", "placeholder"),
        *workers,
    )

    found = (await of_cluster("photos")).targets

    assert [one.name for one in found][:3] == ["balancer-1", "balancer-2", "node-0"]
    assert len(found) == 3 + ASKED_MAX
    assert [one.error for one in found][:3] == ["", "its pod is Pending", ""]
    assert found[0].forward[-2:] == ("pod/balancer-1", ":8090")
    assert found[2].address == "10.1.0.1:8090"


async def test_a_pod_is_asked_through_a_forwarded_port(folder: Path) -> None:
    """A node that balancers call by its pod's address is not asked twice; a pod that is not reached says so."""
    listed(folder, pod("balancer-1", "balancer"), pod("node-0", "node"))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1]
        rows = b'[{"id": "a", "address": "10.1.0.1:8090", "state": "healthy"}]'
        body = {b"/aboutz": ABOUT, b"/nodes": rows}.get(path, b"ready")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1") as server:
        (folder / "port").write_text(str(server.sockets[0].getsockname()[1]))
        where = await of_cluster("photos")
        found = {one.name: one for one in await gathering.programs(where, asyncio.get_running_loop().time() + 60)}

    assert set(found) == {"balancer-1", "node-0"}
    assert (found["balancer-1"].error, found["balancer-1"].rows[0].id) == ("", "a")
    why = "ConnectionError: kubectl port-forward does not reach it"
    assert found["node-0"] == Program(kind="node", name="node-0", address="10.1.0.1:8090", error=why)


async def test_a_kubectl_that_hangs_is_ended_with_what_it_started(folder: Path) -> None:
    """It ignores SIGTERM and SIGINT, and is a script that starts the real one, which keeps the pipes."""
    (folder / "kubectl").write_text(HANGING)
    listed(folder, pod("balancer-1", "balancer"))
    where = await of_cluster("photos")
    deadline = asyncio.get_running_loop().time() + 1.0

    async with asyncio.timeout(60):
        found, looked = await asyncio.gather(
            gathering.programs(where, deadline), gathering.inspection(where, "", deadline)
        )

    assert [one.error for one in found] == ["no answer in time"]
    assert looked.error == "store and Redis were not looked at in time"
    started = (folder / "started").read_text().split()
    assert len(started) == 2
    await eventually(lambda: all(state(pid) in "ZX" for pid in started), "both were ended, as soon as they get the CPU")


def state(pid: str) -> str:
    """The state of a process (proc(5)): Z, a zombie, has ended; X for one that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


async def test_store_and_redis_are_looked_at_from_a_pod(folder: Path) -> None:
    """By the same command, in an autoscaler's pod."""
    listed(folder)
    where = await of_cluster("photos")

    found = await gathering.inspection(where, "m", asyncio.get_running_loop().time() + 60)

    assert (found.error, found.workers) == ("", 7)
    assert where.inspect[-4:] == ("python", "-m", "processors", "inspect")


async def test_the_clock_of_redis_is_told_against_ours(folder: Path) -> None:
    """It was read in the pod of an autoscaler, whose own clock is known; if it is not, nobody can tell."""
    listed(folder, pod("autoscaler-0", "autoscaler", phase="Pending"), pod("autoscaler-1", "autoscaler"))
    where = await of_cluster("photos")
    assert where.inspect[3:5] == ("exec", "pod/autoscaler-1")
    found = Inspection(redis=(Redis(name="r", ahead_ms=10.0, unsure_ms=1.0),))
    pods = (Program(kind="autoscaler", name="autoscaler-1", about=About(program="autoscaler"), ahead_ms=-500.0),)

    (redis,) = gathering.clocked(found, pods, where).redis
    assert (redis.ahead_ms, redis.unsure_ms) == (-490.0, 1.0)
    assert gathering.clocked(found, (), where).redis[0].unsure_ms == float("inf")
    assert gathering.clocked(found, (), Where(targets=())) == found


async def test_a_namespace_that_cannot_be_listed_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With kubectl's reason; and without kubectl."""
    with pytest.raises(ValueError, match="kubectl cannot list the pods: wrong namespace"):
        await of_cluster("other")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ValueError, match="not installed here"):
        await of_cluster("photos")
