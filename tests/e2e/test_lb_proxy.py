"""Requests through a real balancer process: where they go, that bytes arrive whole, that doubtful ones do not."""

import asyncio
import hashlib
import io
import json
import random
import re
import socket

import aiohttp
import pytest
from aiohttp import web

from tests.e2e.test_lb_harness import balancer, problem_of, sink, status_of, talk, token

pytestmark = pytest.mark.e2e

HEAD = b"POST /x HTTP/1.1\r\nHost: a\r\n"
DOUBTFUL = {
    "length and chunked": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "length list": HEAD + b"Content-Length: 5, 5\r\n\r\nhello",
    "signed length": HEAD + b"Content-Length: +5\r\n\r\nhello",
    "hex length": HEAD + b"Content-Length: 0x5\r\n\r\nhello",
    "obs-fold": HEAD + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "bare LF": b"POST /x HTTP/1.1\nHost: a\nContent-Length: 0\n\n",
    "bare CR": HEAD + b"X: a\rb\r\nContent-Length: 0\r\n\r\n",
    "NUL": HEAD + b"X: a\0b\r\nContent-Length: 0\r\n\r\n",
    "space before colon": HEAD + b"Content-Length : 5\r\n\r\nhello",
    "two codings": HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "other coding": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked in 1.0": b"POST /x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "no host": b"POST /x HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "two hosts": HEAD + b"Host: b\r\nContent-Length: 0\r\n\r\n",
    "host conflict": b"GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n",
}


async def test_a_user_always_meets_the_same_node() -> None:
    """The subject of the token places the request, whatever the path, and users spread over the nodes."""
    async with sink("a") as a, sink("b") as b, sink("c") as c:
        nodes = [(node.name, node.port) for node in (a, b, c)]
        async with balancer(*nodes, hash_on="bearer-sub") as lb, aiohttp.ClientSession(lb.url) as session:
            seen: dict[str, set[str]] = {}
            for turn in range(3):
                for user in map(str, range(30)):
                    async with session.post(f"/{turn}", headers={"Authorization": token(user)}) as answer:
                        seen.setdefault(user, set()).add((await answer.json())["node"])
    assert all(len(nodes) == 1 for nodes in seen.values())
    assert len(set.union(*seen.values())) == 3


@pytest.mark.parametrize("chunked", [False, True])
async def test_bodies_arrive_whole_both_ways(chunked: bool) -> None:  # noqa: FBT001 - a parameter of pytest
    """A body of a megabyte and an odd byte comes back with the same digest, counted or chunked."""
    body = random.Random(1).randbytes(2**20 + 1)

    async def echo(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        if not chunked:
            answer.content_length = len(body)
        await answer.prepare(request)
        await answer.write(await request.read())
        return answer

    async def pieces():  # noqa: ANN202 - an async generator
        for start in range(0, len(body), 70_000):
            yield body[start : start + 70_000]

    async with sink(handler=echo) as node, balancer(("a", node.port)) as lb, aiohttp.ClientSession(lb.url) as session:
        for _ in range(3):
            async with session.post("/", data=pieces() if chunked else io.BytesIO(body)) as answer:
                assert hashlib.sha256(await answer.read()).digest() == hashlib.sha256(body).digest()
        assert [len(seen[3]) for seen in node.requests] == [len(body)] * 3


async def test_a_slow_reader_stops_the_node_not_the_balancer() -> None:
    """An answer of 30 MB that the client reads late arrives whole, and is not held by the balancer meanwhile."""
    size = 30 * 2**20

    async def much(request: web.Request) -> web.StreamResponse:
        return web.Response(body=bytes(size))

    async with sink(handler=much) as node, balancer(("a", node.port)) as lb:
        reader, writer = await asyncio.open_connection("127.0.0.1", lb.port, limit=2**16)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        with open(f"/proc/{lb.process.pid}/statm") as statm:  # noqa: ASYNC230, PTH123 - a line of procfs
            pages = int(statm.read().split()[1])
        total = 0
        while data := await reader.read(2**20):
            total += len(data)
        writer.close()
    assert total == size
    assert pages * 4096 < 100 * 2**20


@pytest.mark.parametrize("name", DOUBTFUL)
async def test_doubtful_requests_are_refused_before_a_node_sees_them(name: str) -> None:
    """Everything that two parsers might read differently gets 400, and the connection ends; also byte by byte."""
    raw = DOUBTFUL[name]
    async with sink() as node, balancer(("a", node.port)) as lb:
        smuggled = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        for pieces in ([raw + smuggled], [bytes([byte]) for byte in raw]):
            answer = await talk(lb.port, *pieces)
            assert status_of(answer) == 400
            assert problem_of(answer)["stored"] is False
            assert answer.count(b"HTTP/1.1 ") == 1
        assert node.requests == []


@pytest.mark.parametrize(
    "chunk", [b"5;a\nb\r\nhello\r\n", b"0x5\r\nhello\r\n", b"5\nhello\n", b"5\r\nhelloX", b"+5\r\n"]
)
async def test_bad_chunks_end_the_request(chunk: bytes) -> None:
    """A chunk that breaks its framing gets 400 and never a second request."""
    async with sink() as node, balancer(("a", node.port)) as lb:
        answer = await talk(lb.port, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + b"0\r\n\r\n")
        assert status_of(answer) == 400
        assert answer.count(b"HTTP/1.1 ") == 1
        assert node.requests == []


async def test_the_node_sees_what_the_balancer_says_of_the_client() -> None:
    """Client-made Snapsurge and X-Forwarded fields are gone, hop-by-hop ones too, ours are there."""
    raw = (
        b"POST /x HTTP/1.1\r\nHost: a.example\r\nSnapsurge-Received-At: 1\r\nsnapsurge_retry: 1\r\nX-Keep: 1\r\n"
        b"X-Forwarded-For: 6.6.6.6\r\nConnection: close, X-Gone\r\nX-Gone: 1\r\nKeep-Alive: 9\r\nContent-Length: 2\r\n"
        b"X-Request-Id: mine-1\r\n\r\nhi"
    )
    async with sink() as node, balancer(("a", node.port)) as lb:
        answer = await talk(lb.port, raw)
    assert status_of(answer) == 200
    assert b"\r\nConnection: close\r\n" in answer
    [(_, _, fields, body)] = node.requests
    assert body == b"hi"
    assert int(fields["Snapsurge-Received-At"]) > 1_700_000_000_000
    assert (fields["X-Forwarded-For"], fields["X-Forwarded-Host"]) == ("127.0.0.1", "a.example")
    assert (fields["X-Keep"], fields["Via"]) == ("1", "1.1 snapsurge")
    # A client's id is a label in the access log; the id is the balancer's own.
    assert re.fullmatch(r"[0-9a-f]{32}", fields["X-Request-ID"])
    assert b"X-Request-Id: " + fields["X-Request-ID"].encode() in answer
    assert not {"X-Gone", "Keep-Alive", "snapsurge_retry", "Connection"} & set(fields)


async def test_pipelined_requests_are_answered_in_order() -> None:
    """Three requests in one segment get three answers, in their order, on one connection."""
    raw = b"".join(b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n%d" % (n, n) for n in range(3))
    last = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    async with sink("a") as a, sink("b") as b, balancer(("a", a.port), ("b", b.port)) as lb:
        answer = await talk(lb.port, raw + last)
        seen = sorted(path for node in (a, b) for _, path, _, _ in node.requests)
    assert answer.count(b"HTTP/1.1 200") == 4
    assert seen == ["/0", "/1", "/2", "/last"]
    bodies = [json.loads(part.split(b"HTTP/1.1", 1)[0])["length"] for part in answer.split(b"\r\n\r\n")[1:]]
    assert bodies == [1, 1, 1, 0]


async def test_continue_comes_from_the_node() -> None:
    """100 Continue is the node's word, passed on; then the body and the answer follow."""
    async with sink() as node, balancer(("a", node.port)) as lb:
        reader, writer = await asyncio.open_connection("127.0.0.1", lb.port)
        writer.write(HEAD + b"Content-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
        assert status_of(await reader.readuntil(b"\r\n\r\n")) == 100
        writer.write(b"hello")
        assert status_of(await reader.read()) == 200
        writer.close()


async def test_a_head_over_the_limit_gets_431() -> None:
    """A head longer than 16 KiB is refused, also when its end never comes."""
    async with sink() as node, balancer(("a", node.port)) as lb:
        answer = await talk(lb.port, HEAD + b"X: " + b"a" * 17_000)
        assert (status_of(answer), problem_of(answer)["code"]) == (431, "head-too-large")
        assert node.requests == []


async def test_bodies_in_odd_pieces_end_with_their_last_byte() -> None:
    """Three on one connection, in the pieces of a slow phone: each arrives whole and is answered when it has."""
    async with sink() as node, balancer(("a", node.port)) as lb:
        reader, writer = await asyncio.open_connection("127.0.0.1", lb.port)
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for length in (100_001, 100, 40_000):
            writer.write(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % length)
            for at in range(0, length, 700):
                writer.write(b"x" * min(700, length - at))
                await writer.drain()
                await asyncio.sleep(0)
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            said = await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
            assert json.loads(said)["length"] == length
        writer.close()
    assert [body for *_, body in node.requests] == [b"x" * length for length in (100_001, 100, 40_000)]
