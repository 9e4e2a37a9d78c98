"""Two nodes: one is cut off from Redis and owes it posts, which the other one deletes; then Redis loses everything."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from redis.asyncio import Redis

from storage.keys import DELETION_KEY, POST_KEY
from storage.queue.jobs import FLAGS, ON_TIME
from tests.e2e.lone_node import LoneNode, lone_node, pair, token
from tests.e2e.test_processors_harness import until
from tests.faults.proxy import FaultProxy
from tests.faults.toxics import CutAfter
from tests.ports import free_port

pytestmark = pytest.mark.e2e

USERS = tuple(f"user {number}" for number in range(6))


async def call(node: LoneNode, method: str, path: str, user: str, **options: Any) -> tuple[int, Any]:
    """Status and body of a call as this user, or as ops."""
    bearer = token(user, "ops" if user == "ops" else "upload")
    headers = {"Authorization": f"Bearer {bearer}", **options.pop("headers", {})}
    url = f"http://127.0.0.1:{node.port}{path}"
    async with aiohttp.ClientSession() as session, session.request(method, url, headers=headers, **options) as answer:
        return answer.status, await answer.json(content_type=None) if answer.status != 204 else None


async def test_what_a_node_owes_shows_no_deleted_post(
    tmp_path: Path, redis_server: Callable[[], AbstractContextManager[str]]
) -> None:
    """The deletions are gone with all else in Redis, there are no workers, and the node reports what it owes."""
    with redis_server() as url, ExitStack() as programs:
        async with Redis.from_url(url) as redis, FaultProxy(int(redis.get_connection_kwargs()["port"])) as proxy:
            far_url = f"redis://127.0.0.1:{proxy.port}/0"
            far, near = [
                await asyncio.to_thread(programs.enter_context, lone_node(tmp_path, one, free_port()))
                for one in (far_url, url)
            ]
            moment = await asyncio.to_thread(near.moment)
            await call(far, "GET", f"/v1/moments/{moment}", "ops")
            form = {"Content-Type": "multipart/form-data; boundary=x"}
            ids = dict[str, str]()
            with proxy.toxic(CutAfter("up")) as cut:
                proxy.reset_all()
                for user in USERS:
                    path = f"/v1/moments/{moment}/posts"
                    status, post = await call(far, "POST", path, user, data=pair(1 << 16), headers=form)
                    assert status == 201
                    ids[user] = post["id"]
                assert cut.hits
                assert not await redis.keys(f"{POST_KEY}*")
                for user, post_id in ids.items():
                    assert (await call(near, "DELETE", f"/v1/posts/{post_id}", user))[0] == 204
                assert len(await redis.keys(f"{DELETION_KEY}*")) == len(USERS)
                await redis.flushall()

            async def reported() -> bool:
                return len(USERS) == await redis.zcard(FLAGS) == await redis.zcard(ON_TIME)

            await until(reported, far.log.read_text)
            assert not await redis.keys(f"{POST_KEY}*")
            for node in (far, near):
                for user, post_id in ids.items():
                    assert (await call(node, "GET", f"/v1/posts/{post_id}", user))[0] == 404
                assert (await call(node, "GET", f"/v1/moments/{moment}/summary", "ops"))[1]["accepted"] == 0
