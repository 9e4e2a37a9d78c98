"""The questions that tell whether a part of the stack may be used, asked of real small servers."""

import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from deploy import ready
from tests.fake_sentinel import FakeSentinel

NODES = '[{"id":"a","address":"127.0.0.1:9001","state":"healthy","share":1}]'


@asynccontextmanager
async def serving(body: str, status: int = 200) -> AsyncIterator[str]:
    """A server that says the same to everybody; its address."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=body, status=status)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(("status", "expected"), [(200, True), (503, False)])
async def test_a_part_serves_when_it_answers_200(status: int, expected: bool) -> None:  # noqa: FBT001 - a case
    """Anything else is not ready."""
    async with aiohttp.ClientSession() as session, serving("", status) as url:
        assert await ready.serves(session, url) is expected


async def test_a_part_that_does_not_listen_does_not_serve() -> None:
    """A refused connection is an answer too."""
    async with serving("") as url:
        pass
    async with aiohttp.ClientSession() as session:
        assert not await ready.serves(session, url)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (NODES, True),
        (NODES.replace("healthy", "joining"), False),
        (NODES.replace("9001", "9002"), False),
        (NODES.replace('"a"', '"b"'), False),
        ("[]", False),
        ("no json", False),
    ],
)
async def test_a_balancer_must_know_every_node_where_it_is_now(body: str, expected: bool) -> None:  # noqa: FBT001
    """A node known from an earlier run at another port does not count."""
    async with aiohttp.ClientSession() as session, serving(body) as url:
        assert await ready.knows_all(session, url, {"a": "127.0.0.1:9001"}) is expected


async def test_redis_that_is_not_there_does_not_answer() -> None:
    """No exception, just no."""
    assert not await ready.redis_answers("redis://127.0.0.1:1/0")


@pytest.mark.parametrize(
    "url",
    [
        "http://u:open-sesame@h",
        "redis://u:open-sesame#@h/0",
        "redis://u:open-sesame@h/0?retry=1",
        "unix://u:[open-sesame",
    ],
)
async def test_a_bad_address_of_a_redis_is_an_error_without_its_password(url: str) -> None:
    """No traceback either, whatever redis-py makes of it."""
    with pytest.raises(ValueError, match="not the address of a Redis") as caught:
        await ready.redis_answers(url)
    assert "sesame" not in str(caught.value)


async def test_one_sentinel_that_answers_is_a_redis_that_answers() -> None:
    """Which server is the primary is for every program to find out, now and later; the Sentinels have own passwords."""
    async with FakeSentinel(1) as one:
        group = f"127.0.0.1:1,127.0.0.1:{one.port}"
        assert await ready.redis_answers(f"redis+sentinel://me:password@{group}/p/0")
        assert await ready.redis_answers(f"redis+sentinel://{group}/p/0?sentinel_username=me&sentinel_password=x%25")
    assert (b"AUTH", b"me", b"x%") in one.words
    assert not any(b"password" in words for words in one.words)
    assert not await ready.redis_answers("redis+sentinel://127.0.0.1:1,127.0.0.1:2/p/0")


async def test_a_group_can_fail_over_when_its_sentinels_know_a_replica() -> None:
    """And enough of each other, which they say themselves."""
    async with FakeSentinel(1) as one:
        assert not await ready.can_fail_over(f"redis://127.0.0.1:{one.port}", "p")
        one.replicas = 1
        assert await ready.can_fail_over(f"redis://127.0.0.1:{one.port}", "p")
    assert not await ready.can_fail_over(f"redis://127.0.0.1:{one.port}", "p")
    assert not await ready.redis_follows(f"redis://127.0.0.1:{one.port}")


def test_children_are_the_living_ones() -> None:
    """A zombie renders nothing."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as alive, subprocess.Popen(["true"]) as dead:
        os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
        found = ready.children(os.getpid())
        assert alive.pid in found
        assert dead.pid not in found
    assert ready.children(alive.pid) == ()
