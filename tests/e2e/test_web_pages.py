"""A web page's script behind a real balancer and node: it may read every answer that a phone may, whoever wrote it."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.lone_node import lone_node, token
from tests.e2e.test_lb_harness import balancer, talk
from tests.ports import free_port

pytestmark = pytest.mark.e2e

APP = "https://app.example"
ASKED = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,snapsurge-ticket"}


def readable(answer: aiohttp.ClientResponse) -> set[str]:
    """The fields that a browser shows to a script of the page; nothing unless the answer allows that page."""
    allowed = answer.headers.getall("Access-Control-Allow-Origin", [])
    assert len(allowed) <= 1
    exposed = answer.headers.get("Access-Control-Expose-Headers", "")
    return {name.lower() for name in exposed.split(", ")} if allowed in ([APP], ["*"]) else set()


async def test_a_script_reads_refusals_of_the_node_and_of_the_balancer(tmp_path: Path, redis_url: str) -> None:
    """The preflight and a 401 come from the node, a 413 from the balancer; a 503 without a node has its ticket."""
    port = free_port()
    settings = {"SNAPSURGE_LB_BODY_BYTES_MAX": "1000", "SNAPSURGE_LB_TICKET_SECRET": "a-secret-for-tickets"}
    async with (
        balancer(("a", port), environment=settings, hash_on="bearer-sub") as lb,
        aiohttp.ClientSession(lb.url, headers={"Origin": APP}) as session,
    ):
        upload = "/v1/moments/eu-20260101-none/posts"
        bearer = {"Authorization": f"Bearer {token('alice')}"}
        with lone_node(tmp_path, redis_url, port, cors_origins=APP):
            async with session.options(upload, headers=ASKED) as answer:
                assert (answer.status, "POST" in answer.headers["Access-Control-Allow-Methods"]) == (204, True)
                assert "snapsurge-ticket" in answer.headers["Access-Control-Allow-Headers"].lower()
                assert readable(answer)
            async with session.post(upload, data=b"x") as answer:
                assert (answer.status, answer.headers["Vary"]) == (401, "Origin")
                assert "x-request-id" in readable(answer)
            async with session.post(upload, data=bytes(2000), headers=bearer) as answer:
                assert (answer.status, (await answer.json())["code"]) == (413, "too-large")
                assert "x-request-id" in readable(answer)
        async with session.post(upload, data=b"x", headers=bearer) as answer:
            assert (answer.status, (await answer.json())["code"]) == (503, "no-nodes")
            assert {"snapsurge-ticket", "retry-after"} <= readable(answer)
            assert answer.headers["Snapsurge-Ticket"]


async def test_head_passes_and_ends(tmp_path: Path, redis_url: str) -> None:
    """`curl -I` of a page, of an unknown path, of a path that the balancer hides, and without any node."""
    port = free_port()
    async with balancer(("a", port)) as lb:

        async def head(path: str) -> tuple[int, bytes]:
            """The status, and what follows the head although nothing may."""
            raw = f"HEAD {path} HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n".encode()
            reader, writer = await asyncio.open_connection("127.0.0.1", lb.port)
            try:
                async with asyncio.timeout(30):
                    writer.write(raw)
                    said = await reader.readuntil(b"\r\n\r\n")
                    assert b"\r\nContent-Length: " in said
                    # The answer to the next request begins at once, unless the connection has ended.
                    writer.write(raw.replace(b"HEAD", b"GET", 1))
                    return int(said.split(b" ")[1]), await reader.read(9)
            finally:
                writer.close()

        with lone_node(tmp_path, redis_url, port):
            for path, status in (("/livez", 200), ("/docs", 200), ("/openapi.json", 200), ("/nothing", 404)):
                assert await head(path) == (status, b"HTTP/1.1 ")
            for private in ("/metrics", "/aboutz"):
                assert await head(private) == (404, b"")
        assert await head("/livez") == (503, b"HTTP/1.1 ")


async def test_a_request_in_absolute_form_is_served(tmp_path: Path, redis_url: str) -> None:
    """RFC 9112, section 3.2.2; by the balancer and by a node."""
    port = free_port()
    with lone_node(tmp_path, redis_url, port):
        async with balancer(("a", port)) as lb:
            for door in (port, lb.port):
                for host in (f"127.0.0.1:{door}", "api.example"):
                    head = f"GET http://{host}/livez HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
                    assert (await talk(door, head.encode())).endswith(b"\r\n\r\nalive\n")
                star = await talk(door, b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                assert star.startswith(b"HTTP/1.1 204 ")
                assert b"\r\nAllow: DELETE, GET, HEAD, OPTIONS, PATCH, POST\r\n" in star
