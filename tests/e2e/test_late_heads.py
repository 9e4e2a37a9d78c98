"""A process that stood still reads requests late; they count from when they came, not from when it reads them.

Otherwise a phone's deletion that it had given up on would end the pair that it posted afterwards, and a post would be
late because we were.
"""

import asyncio
import itertools
import signal
import time
import urllib.error
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from tests.e2e.lone_node import PATIENCE_S, LoneNode, lone_node, pair, token
from tests.e2e.test_lb_harness import balancer, sink

pytestmark = pytest.mark.e2e
STOOD_S = 1.5
PORTS = itertools.count(8470)


@asynccontextmanager
async def standing(pid: int) -> AsyncIterator[None]:
    """The process stands still inside, and for a while longer."""
    process = psutil.Process(pid)
    process.send_signal(signal.SIGSTOP)
    try:
        async with asyncio.timeout(PATIENCE_S):
            while process.status() != psutil.STATUS_STOPPED:  # noqa: ASYNC110 - the kernel gives no event
                await asyncio.sleep(0.01)
        yield
        await asyncio.sleep(STOOD_S)
    finally:
        process.send_signal(signal.SIGCONT)


async def status_of(reader: asyncio.StreamReader) -> int:
    """Of the answer that comes."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)
    return int(head.split()[1])


async def asked(port: int, request: bytes) -> int:
    """The status of an answer at once."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await status_of(reader)
    finally:
        writer.close()


def came_at(fields: Mapping[str, str]) -> float:
    """Unix seconds in the stamp of a request that a node got."""
    return int(fields["Snapsurge-Received-At"]) / 1000


@pytest.mark.parametrize("method", ["DELETE", "POST"])
async def test_a_balancer_that_stood_still_tells_when_a_request_came(method: str) -> None:
    """`Snapsurge-Received-At` is a time before it went on; of a request that it reads at once, its own."""
    async with sink() as node, balancer(("a", node.port)) as lb:
        request = f"{method} /x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", lb.port)
        async with standing(lb.process.pid):
            writer.write(request)
        went_on = time.time()
        assert await status_of(reader) == 200
        assert came_at(node.requests[0][2]) < went_on - STOOD_S / 2

        await asyncio.sleep(STOOD_S * 2)
        before = time.time()
        assert await asked(lb.port, request) == 200
        assert came_at(node.requests[1][2]) >= before - 0.001
        writer.close()


async def test_a_deletion_that_a_node_reads_late_spares_a_younger_pair(tmp_path: Path, redis_url: str) -> None:
    """Sent to a node that stands still, given up, done by another node; then the user posts again, and keeps it."""
    body = pair(20_000)
    with (
        lone_node(tmp_path, redis_url, next(PORTS)) as stuck,
        lone_node(tmp_path, redis_url, next(PORTS)) as well,
    ):
        moment = await asyncio.to_thread(well.moment)
        upload = well.upload_head(moment, "ann", len(body)) + body
        assert await asked(well.port, upload) == 201
        post = await post_of(well, moment)
        deletion = (
            f"DELETE /v1/posts/{post} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token('ann')}\r\n\r\n".encode()
        )
        reader, writer = await asyncio.open_connection("127.0.0.1", stuck.port)
        async with standing(stuck.process.pid):
            writer.write(deletion)
            await asyncio.sleep(STOOD_S)  # the phone gives up
            assert await asked(well.port, deletion) == 204
            assert await asked(well.port, upload) == 201
        assert await status_of(reader) == 409  # final: a repetition would end the younger pair
        writer.close()
        assert await post_of(well, moment) == post


async def post_of(node: LoneNode, moment: str) -> str:
    """The id of the one post that the moment shows, itself asked for."""
    page = await asyncio.to_thread(node.get, f"/v1/moments/{moment}/posts", token("ops", "ops"))
    post = page.partition(b'"id":"')[2].partition(b'"')[0].decode()
    try:
        await asyncio.to_thread(node.get, f"/v1/posts/{post}", token("ann"))
    except urllib.error.HTTPError as error:
        pytest.fail(f"post {post} answers {error.code}")
    return post
