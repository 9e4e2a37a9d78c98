"""Two nodes, and a Redis that lacks a deletion which was answered 204: neither node shows the post, at any time."""

import asyncio
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis.asyncio import Redis

from storage.index import Index
from tests.e2e.lone_node import LoneNode, lone_node, pair
from tests.e2e.test_deleted_elsewhere import call
from tests.e2e.test_processors_harness import QUICK, Stack, _end, until
from tests.faults.proxy import FaultProxy
from tests.lost_deletions import Servers, losing
from tests.ports import free_port

pytestmark = pytest.mark.e2e


def port_of(client: Redis) -> int:
    """The port of its server."""
    return int(client.get_connection_kwargs()["port"])


async def shows_only(node: LoneNode, moment: str, there: set[str], gone: str) -> None:
    """By each call that could show the deleted post."""
    assert (await call(node, "GET", f"/v1/posts/{gone}", "ops"))[0] == 404
    assert (await call(node, "GET", f"/v1/posts/{gone}?wait=1", "ops"))[0] == 404
    for one in there:
        assert (await call(node, "GET", f"/v1/posts/{one}", "ops"))[0] == 200
    status, page = await call(node, "GET", f"/v1/moments/{moment}/posts", "ops")
    assert (status, {post["id"] for post in page["posts"]}) == (200, there)
    status, page = await call(node, "GET", "/v1/users/ann/posts", "ann")
    assert (status, page["posts"]) == (200, [])
    status, summary = await call(node, "GET", f"/v1/moments/{moment}/summary", "ops")
    assert (status, summary["accepted"]) == (200, len(there))


@pytest.mark.parametrize("how", ["failover", "restored"])
async def test_no_node_shows_what_redis_does_not_know_to_be_deleted(
    tmp_path: Path, redis_server: Servers, how: str
) -> None:
    """At once, without an autoscaler, which then comes, and until it has told Redis of the deletion."""
    stack = Stack(tmp_path, 0)
    async with losing(redis_server, how) as lossy, FaultProxy(port_of(lossy.primary)) as proxy:
        with ExitStack() as programs:
            programs.callback(_end, stack.processes)
            nodes = [
                await asyncio.to_thread(
                    programs.enter_context, lone_node(tmp_path, f"redis://127.0.0.1:{proxy.port}/0", free_port())
                )
                for _ in range(2)
            ]
            moment = await asyncio.to_thread(nodes[0].moment)
            form = {"Content-Type": "multipart/form-data; boundary=x"}
            ids = dict[str, str]()
            for user in ("ann", "bob", "eve"):
                path = f"/v1/moments/{moment}/posts"
                status, post = await call(nodes[0], "POST", path, user, data=pair(1 << 16), headers=form)
                assert status == 201
                ids[user] = post["id"]
            gone = ids.pop("ann")
            await lossy.cut()
            assert (await call(nodes[1], "DELETE", f"/v1/posts/{gone}", "ann"))[0] == 204

            after = await lossy.successor()
            proxy.target = port_of(after)
            proxy.reset_all()
            assert [post and post.id for post in await Index(after).posts([gone])] == [gone]
            for node in nodes:
                await shows_only(node, moment, set(ids.values()), gone)
            stack.port = proxy.port
            stack.start("autoscale", "--workers-min", "1", sweep_every_s=2, **QUICK)

            async def told() -> bool:
                for node in nodes:
                    await shows_only(node, moment, set(ids.values()), gone)
                return await Index(after).posts([gone]) == [None]

            await until(told, stack.log)

            async def from_redis_again() -> bool:
                return None not in await Index(after).trusted(sorted(ids.values()))

            await until(from_redis_again, stack.log)
