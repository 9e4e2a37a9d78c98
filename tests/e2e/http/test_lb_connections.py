"""One connection, several requests: order, versions, options, trailers, 100 Continue, and what a node may believe."""

import asyncio

import pytest

from tests.e2e.http.recorder import LAST, POST, Recorder, play, recorded, statuses
from tests.e2e.test_lb_harness import Balancer, balancer, raw_node, status_of

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

GET = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
async def test_pipelined_requests_keep_their_order(pair: tuple[Recorder, Balancer], bytewise: bool) -> None:  # noqa: FBT001
    """Fifty requests at once, counted, chunked and bodiless: all answered, and the node saw them in order."""
    recorder, lb = pair
    recorder.clear()
    counted = b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    chunked = b"POST /%d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n"
    raw = b"".join((GET, counted, chunked)[n % 3] % n for n in range(50))
    answer = await play(lb.port, raw, bytewise=bytewise)
    assert statuses(answer) == (200,) * 50
    assert recorder.seen == [
        (b"%b /%d" % (b"POST" if n % 3 else b"GET", n), b"abc" if n % 3 else b"") for n in range(50)
    ]


@pytest.mark.parametrize(
    ("raw", "closes", "said"),
    [
        (b"GET /x HTTP/1.0\r\n\r\n", True, b"Connection: close"),
        (b"GET /x HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", False, b"Connection: keep-alive"),
        (b"GET /x HTTP/1.0\r\nHost: a\r\nConnection: keep-alive, close\r\n\r\n", True, b"Connection: close"),
        (b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", False, b""),
        (b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: CLOSE\r\n\r\n", True, b"Connection: close"),
        (b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: close\r\n\r\n", True, b"Connection: close"),
        (b"POST /x HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi", True, b"Connection: close"),
    ],
)
async def test_versions_and_options_end_connections(
    pair: tuple[Recorder, Balancer],
    raw: bytes,
    closes: bool,  # noqa: FBT001
    said: bytes,
) -> None:
    """What comes after a request that ends its connection is not a request."""
    recorder, lb = pair
    recorder.clear()
    answer = await play(lb.port, raw + LAST, bytewise=False)
    assert statuses(answer) == ((200,) if closes else (200, 200))
    assert len(recorder.seen) == (1 if closes else 2)
    assert said in answer.split(b"\r\n\r\n")[0]
    assert recorder.heads[0].startswith(raw.split(b" HTTP/1.")[0] + b" HTTP/1.1\r\n")


async def test_fields_for_one_hop_end_here(pair: tuple[Recorder, Balancer]) -> None:
    """Hop-by-hop fields and all that Connection lists are gone; but it can list away neither framing nor Host."""
    recorder, lb = pair
    recorder.clear()
    gone = b"Keep-Alive: 1\r\nTE: trailers\r\nTrailer: X\r\nUpgrade: h2c\r\nProxy-Connection: x\r\nX-A: 1\r\nx-b: 2\r\n"
    options = b"Connection: X-A, upgrade , X-B,Content-Length, Host, close, X-Forwarded-For, Authorization,,\r\n"
    kept = b"X-C: 3\r\nCookie: a\r\nCookie: b\r\n"
    answer = await play(lb.port, POST + options + gone + kept + b"Content-Length: 2\r\n\r\nhi", bytewise=True)
    assert statuses(answer) == (200,)
    assert recorder.seen == [(b"POST /x", b"hi")]
    for name in (b"keep-alive", b"te", b"trailer", b"upgrade", b"proxy-connection", b"x-a", b"x-b", b"connection"):
        assert recorder.field_values(name) == []
    assert recorder.field_values(b"cookie") == [b"a", b"b"]
    assert recorder.field_values(b"x-forwarded-for") == [b"127.0.0.1"]
    assert recorder.field_values(b"host") == [b"a"]


async def test_trailers_and_extensions_end_here(pair: tuple[Recorder, Balancer]) -> None:
    """A node parses no chunk line but plain ones: a size and nothing else."""
    recorder, lb = pair
    recorder.clear()
    body = b"5;x=smuggled\r\nhello\r\n0;smuggled\r\nX-Smuggled: 1\r\nContent-Length: 9\r\n\r\n"
    answer = await play(lb.port, POST + b"Transfer-Encoding: chunked\r\n\r\n" + body + LAST, bytewise=True)
    assert statuses(answer) == (200, 200)
    assert recorder.seen == [(b"POST /x", b"hello"), (b"GET /last", b"")]
    assert b"smuggled" not in recorder.raw.lower()


async def test_a_client_cannot_speak_for_a_balancer(pair: tuple[Recorder, Balancer]) -> None:
    """Fields that only balancers may say are dropped in every spelling, ours stand alone."""
    recorder, lb = pair
    recorder.clear()
    names = (b"Snapsurge-Received-At", b"SNAPSURGE-RETRY", b"snapsurge_received_at", b"X-Forwarded-For", b"Forwarded")
    more = (b"x_forwarded_for", b"X-Forwarded_Proto", b"X-FORWARDED-HOST", b"X_Request_Id", b"X-Forwarded-Anything")
    fields = b"".join(name + b": 6.6.6.6\r\n" for name in names + more)
    await play(lb.port, b"GET /x HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n", bytewise=False)
    assert b"6.6.6.6" not in recorder.raw
    assert recorder.field_values(b"x-forwarded-for") == [b"127.0.0.1"]


async def test_continue_is_the_nodes_word_and_a_refusal_gets_none() -> None:
    """A node that takes the upload says 100 and only then gets the body; one that refuses is heard without any 100."""
    bodies: list[bytes] = []

    async def node(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"\r\nExpect: 100-continue\r\n" in head
        if b"/refuse" in head:
            writer.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
            bodies.append(await reader.readexactly(5))
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        bodies.append(await reader.read())

    head = b"POST /%b HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 5\r\n\r\n"
    async with raw_node(node) as port, balancer(("a", port)) as inner, balancer(("a", inner.port)) as outer:
        for door in (inner, outer):
            reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
            writer.write(head % b"take")
            assert [status_of(await reader.readuntil(b"\r\n\r\n")) for _ in range(2)] == [103, 100]
            writer.write(b"hello")
            assert statuses(await reader.read()) == (200,)
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
            writer.write(head % b"refuse")
            assert statuses(await reader.read()) == (413,)
            writer.close()
    assert bodies == [b"hello", b"", b""] * 2


async def test_a_node_that_speaks_badly_harms_no_client() -> None:
    """Answers that could be read two ways are 502, and what follows them on the node's connection is dropped."""
    smuggled = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled"
    bad = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 8\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
        b"smuggled\r\n\r\n",
    ]

    async def node(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        number = int(head.split(b" ")[1][1:])
        writer.write(bad[number] + smuggled if number < len(bad) else b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with raw_node(node) as port, balancer(("a", port)) as lb:
        for number in range(len(bad)):
            answer = await play(lb.port, GET % number + GET % 99, bytewise=False)
            assert statuses(answer) == (502, 200), bad[number]
            assert b"smuggled" not in answer


async def test_a_short_answer_and_a_long_one_stay_apart() -> None:
    """Bytes after an answer's end are nobody's: the connection is not used again."""
    connections = 0

    async def node(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad"
            )

    async with raw_node(node) as port, balancer(("a", port)) as lb:
        answer = await play(lb.port, GET % 1 + GET % 2, bytewise=False)
    assert statuses(answer) == (200, 200)
    assert b"bad" not in answer
    assert connections == 2


async def test_the_head_limit_is_a_setting() -> None:
    """A head as long as the limit passes, one byte more does not."""
    async with recorded(SNAPSURGE_LB_HEAD_BYTES_MAX="256") as (recorder, lb):
        fixed = len(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        for extra, status in ((0, 200), (1, 431)):
            raw = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * (256 - fixed + extra) + b"\r\n\r\n"
            assert statuses(await play(lb.port, raw, bytewise=False)) == (status,)
        assert len(recorder.seen) == 1
