"""The long poll of a post through a balancer: many wait together, and a drain ends waits with an answer."""

import asyncio
import signal
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.lone_node import LoneNode, lone_node, pair, token
from tests.e2e.test_lb_harness import balancer
from tests.ports import free_port

pytestmark = pytest.mark.e2e

USERS, EACH = 40, 8


async def posted(session: aiohttp.ClientSession, moment: str) -> str:
    """The path of a new post."""
    headers = {"Authorization": f"Bearer {token('alice')}", "Content-Type": "multipart/form-data; boundary=x"}
    async with session.post(f"/v1/moments/{moment}/posts", data=pair(40_000), headers=headers) as answer:
        assert answer.status == 201, await answer.text()
        return str((await answer.json())["links"]["self"])


async def state(session: aiohttp.ClientSession, path: str, user: str) -> tuple[int, str]:
    """Status and state, or code, of an answer."""
    async with session.get(path, headers={"Authorization": f"Bearer {token(user)}"}) as answer:
        found = await answer.json(content_type=None)
        return answer.status, str(found.get("state") or found.get("code"))


async def waiters(node: LoneNode) -> int:
    """How many wait at the node."""
    text = (await asyncio.to_thread(node.get, "/metrics")).decode()
    return int(float(text.partition("\nsnapsurge_ingest_waiters ")[2].partition("\n")[0]))


async def test_many_wait_through_a_balancer_until_the_node_drains(tmp_path: Path, redis_url: str) -> None:
    """More than the node may serve reads at once; a drain answers all of them at once, and none with an error."""
    port = free_port()
    with lone_node(tmp_path, redis_url, port) as node:
        async with (
            balancer(("a", port)) as front,
            aiohttp.ClientSession(front.url, connector=aiohttp.TCPConnector(limit=0)) as session,
            asyncio.TaskGroup() as tasks,
        ):
            path = await posted(session, await asyncio.to_thread(node.moment))
            assert await state(session, f"{path}?wait=1", "bob") == (200, "accepted")
            polls = []
            for number in range(USERS * EACH):
                polls.append(tasks.create_task(state(session, f"{path}?wait=25", f"user{number // EACH}")))
                if number % 40 == 39:  # as many as may read at once: each looks before it waits
                    while await waiters(node) <= number:
                        assert not [poll for poll in polls if poll.done()]
            node.process.send_signal(signal.SIGTERM)
        assert {poll.result() for poll in polls} == {(200, "accepted")}
        assert await asyncio.to_thread(node.process.wait, 60) == 0


async def test_a_client_that_closes_while_it_waits_gives_its_place_back(tmp_path: Path, redis_url: str) -> None:
    """FIN, as of a closed browser tab: through the balancer the wait ends at the node at once, not after its 25 s."""
    port = free_port()
    with lone_node(tmp_path, redis_url, port) as node:
        async with balancer(("a", port)) as front, aiohttp.ClientSession(front.url) as session:
            path = await posted(session, await asyncio.to_thread(node.moment))
            reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
            head = f"GET {path}?wait=25 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token('alice')}\r\n\r\n"
            writer.write(head.encode())
            while await waiters(node) < 1:
                pass
            writer.write_eof()
            # The wait's own end would be an answer.
            assert await reader.read() == b""
            while await waiters(node):
                pass
            writer.close()
