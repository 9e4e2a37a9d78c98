"""What a real balancer process says and does when nodes refuse, vanish, or answer early, and when it must stop."""

import asyncio
import itertools
import signal

import aiohttp
import pytest
from aiohttp import web

from tests.e2e.test_lb_harness import balancer, problem_of, raw_node, sink, status_of, talk, until
from tests.ports import free_port

pytestmark = pytest.mark.e2e

REFUSAL = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\n\r\nlarge"
UPLOAD = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
MEGABYTE = bytes(2**20)


async def upload(port: int, megabytes: int) -> bytes:
    """Send as a plain client does: the whole body first, whatever happens, then read to the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = UPLOAD % (megabytes * 2**20)
    writer.write(head.replace(b"Host: a", b"Host: a\r\nConnection: close"))
    for _ in range(megabytes):
        writer.write(MEGABYTE)
        await writer.drain()
    answer = await reader.read()
    writer.close()
    return answer


async def refuse_and_hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer after the head and close at once with the body unread, which makes the kernel send a reset."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(REFUSAL)
    writer.close()


async def refuse_and_read_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer after the head, then drop the body for a while, as aiohttp does."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(REFUSAL)
    await reader.read(100_000)
    writer.close()


async def refuse_and_stop_reading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer after some of the body and never read again."""
    await reader.readexactly(300_000)
    writer.write(REFUSAL)
    await asyncio.sleep(0.2)
    writer.close()


@pytest.mark.parametrize("node", [refuse_and_hang_up, refuse_and_read_on, refuse_and_stop_reading])
@pytest.mark.parametrize("hops", [1, 2])
async def test_an_early_refusal_always_reaches_the_client(node, hops: int) -> None:  # noqa: ANN001 - a handler
    """20 MB uploads refused with 413 midway: the client reads the 413 every time, over one balancer or two."""
    trials = 50
    async with raw_node(node) as port, balancer(("a", port)) as inner:
        if hops == 1:
            answers = [await upload(inner.port, 20) for _ in range(trials)]
        else:
            async with balancer(("a", inner.port)) as outer:
                answers = [await upload(outer.port, 20) for _ in range(trials)]
    assert [status_of(answer) for answer in answers] == [413] * trials
    assert all(answer.endswith(b"\r\n\r\nlarge") and b"Connection: close" in answer for answer in answers)


async def test_a_refused_node_is_passed_over_unseen() -> None:
    """Users whose home refuses connections are served by the next node and notice nothing."""
    async with sink("b") as b, balancer(("a", free_port()), ("b", b.port)) as lb:
        async with aiohttp.ClientSession(lb.url) as session:
            for number in range(20):
                async with session.post(f"/{number}", data=b"x" * 1000) as answer:
                    assert (answer.status, (await answer.json())["node"]) == (200, "b")
        states = {row["id"]: row["state"] for row in await lb.admin_json()}
        assert states == {"a": "dead", "b": "healthy"}
        assert len(b.requests) == 20


async def test_a_node_that_dies_in_an_upload_costs_an_honest_502() -> None:
    """The node had the whole: 502 with `stored: unknown`, and the upload is not sent to anybody else."""
    others = 0

    async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal others
        others += 1
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(3 * 2**20)
        writer.transport.abort()

    async with raw_node(die) as a, raw_node(die) as b, balancer(("a", a), ("b", b)) as lb:
        answer = await upload(lb.port, 3)
    assert status_of(answer) == 502
    problem = problem_of(answer)
    assert (problem["code"], problem["stored"]) == ("bad-gateway", "unknown")
    assert b"Retry-After: " in answer
    assert others == 1


async def test_a_stale_pooled_connection_costs_no_request() -> None:
    """A node that closes after each answer without saying so is asked on a new connection each time."""
    served = itertools.count()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        next(served)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with raw_node(one) as port, balancer(("a", port)) as lb, aiohttp.ClientSession(lb.url) as session:
        for number in range(50):
            async with session.request(("POST", "GET")[number % 2], "/") as answer:
                assert answer.status == 200
    assert next(served) == 50


async def test_a_cut_answer_is_not_taken_for_a_whole_one() -> None:
    """A node that dies within its answer: the client sees its connection break, not a short body."""

    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await writer.drain()
        writer.transport.abort()

    async with raw_node(half) as port, balancer(("a", port)) as lb, aiohttp.ClientSession(lb.url) as session:
        with pytest.raises(aiohttp.ClientError):
            async with session.get("/") as answer:
                await answer.read()


async def test_no_nodes_is_said_so() -> None:
    """Nobody to serve: 503 `no-nodes`, nothing stored, a Retry-After, and the connection stays usable."""
    async with balancer(("a", free_port())) as lb:
        close = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        answer = await talk(lb.port, UPLOAD % 0 + close)
    assert answer.count(b"HTTP/1.1 503") == 2
    assert problem_of(answer[answer.rindex(b"HTTP/1.1 503") :])["code"] == "no-nodes"
    assert answer.count(b"Retry-After: ") == 2
    assert b'"stored":false' in answer


async def test_checks_take_a_sick_node_out_and_back() -> None:
    """A node whose `/readyz` says 503 gets no users until it says 200 again."""
    sick = False

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=503 if sick and request.path == "/readyz" else 200)

    fast = {"SNAPSURGE_LB_CHECK_MS": "50", "SNAPSURGE_LB_CHECK_FAST_MS": "50"}
    async with (
        sink("a", answer) as a,
        sink("b") as b,
        balancer(("a", a.port), ("b", b.port), check="/readyz", environment=fast) as lb,
    ):

        async def state_is(state: str) -> bool:
            return (await lb.admin_json())[0]["state"] == state

        await until(lambda: state_is("healthy"))
        sick = True
        await until(lambda: state_is("dead"))
        for number in range(10):
            assert b'"node": "b"' in await talk(lb.port, b"GET /%d HTTP/1.0\r\n\r\n" % number)
        sick = False
        await until(lambda: state_is("healthy"))


async def test_a_trickle_is_cut_with_408() -> None:
    """A body below the minimum rate gets 408 `too-slow`; a head that never ends does too."""
    short = {
        "SNAPSURGE_LB_BODY_GRACE_S": "1",
        "SNAPSURGE_LB_BODY_STALL_S": "1",
        "SNAPSURGE_LB_HEAD_S": "1",
    }
    async with sink() as node, balancer(("a", node.port), environment=short) as lb:
        bodies = await asyncio.gather(talk(lb.port, UPLOAD % 100 + b"x"), talk(lb.port, b"GET / HT"))
    assert [status_of(answer) for answer in bodies] == [408, 408]
    assert [problem_of(answer)["stored"] for answer in bodies] == [False, False]


async def test_a_slow_phone_is_not_cut() -> None:
    """Above the minimum rate a body may take many times the grace; scaled: 4 s at 8 kB/s with a second of grace."""
    short = {"SNAPSURGE_LB_BODY_GRACE_S": "1", "SNAPSURGE_LB_BODY_STALL_S": "1"}
    async with sink() as node, balancer(("a", node.port), environment=short) as lb:
        reader, writer = await asyncio.open_connection("127.0.0.1", lb.port)
        writer.write((UPLOAD % 32_000).replace(b"Host: a", b"Host: a\r\nConnection: close"))
        for _ in range(16):
            writer.write(bytes(2000))
            await asyncio.sleep(0.25)
        assert status_of(await reader.read()) == 200
        writer.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_draining_finishes_uploads_under_way(number: signal.Signals) -> None:
    """After the signal: not ready, no new connections, the upload under way gets its answer, exit status 0."""
    async with (
        sink() as node,
        balancer(("a", node.port), environment={"SNAPSURGE_LB_ANNOUNCE_MS": "100"}) as lb,
        aiohttp.ClientSession() as session,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", lb.port)
        idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", lb.port)
        writer.write(UPLOAD % 10 + b"hello")
        assert status_of(await talk(lb.port, b"GET / HTTP/1.0\r\n\r\n")) == 200
        lb.process.send_signal(number)
        assert await idle_reader.read() == b""
        async with session.get(f"http://127.0.0.1:{lb.admin}/readyz") as ready:
            assert ready.status == 503
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await asyncio.open_connection("127.0.0.1", lb.port)
        writer.write(b"world")
        answer = await reader.read()
        assert status_of(answer) == 200
        assert b"Connection: close" in answer
        assert await lb.process.wait() == 0
        writer.close()
        idle_writer.close()


async def test_a_second_signal_ends_at_once() -> None:
    """SIGTERM twice does not wait for the upload under way."""
    async with sink() as node, balancer(("a", node.port)) as lb:
        _, writer = await asyncio.open_connection("127.0.0.1", lb.port)
        writer.write(UPLOAD % 10 + b"hello")
        await talk(lb.port, b"GET / HTTP/1.0\r\n\r\n")
        lb.process.terminate()
        await asyncio.sleep(0.2)
        lb.process.terminate()
        assert await lb.process.wait() == 1
        writer.close()
