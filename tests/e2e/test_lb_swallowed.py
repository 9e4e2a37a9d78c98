"""Bytes vanish between balancer and node: a phone that sent in time is never told 408, nor anything without a ticket.

A proxy takes the bytes and drops them, so the balancer's kernel has them acknowledged and sees nothing. The node, which
keeps a minimum rate as ours do, answers 408. A phone that is really slow is the control.
"""

import asyncio
import base64
import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.certificates import made_certificate, trusting
from tests.e2e.lone_node import pair
from tests.e2e.test_lb_gray import Scene, node, phones
from tests.e2e.test_lb_harness import Balancer, balancer, raw_node, status_of, token, until
from tests.e2e.test_lb_tickets import TICKETS
from tests.faults.proxy import FaultProxy, Toxic
from tests.faults.toxics import Blackhole, Hole, Trickle

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

BODY = b"x" * 60_000
SLOW = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 8\r\nConnection: close\r\n\r\ntoo slow"
TAKEN = b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\ntaken"
NODE_STALL_S = 3.0
NODE_BYTES_S = 4096
SETTINGS = {
    "SNAPSURGE_LB_TICKET_SECRET": "a-secret-for-tickets",
    "SNAPSURGE_LB_BODY_STALL_S": "1",
    "SNAPSURGE_LB_BODY_GRACE_S": "1",
    "SNAPSURGE_LB_ANSWER_S": "6",
}
NODE = {"SNAPSURGE_INGEST_BODY_STALL_S": "6", "SNAPSURGE_INGEST_BODY_GRACE_S": "6"}
BEFORE_IT = {"SNAPSURGE_LB_BODY_STALL_S": "2", "SNAPSURGE_LB_BODY_GRACE_S": "2"}
CHECKS_FIT = 3000
TICKET = b"\r\nSnapsurge-Ticket: "


async def strict(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A node: 201 once the body's last byte came, 408 after a silence or below its rate; GETs pass."""
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        got, loop = b"" if head.startswith(b"POST") else BODY, asyncio.get_running_loop()
        began = loop.time()
        try:
            while got.count(b"x") < len(BODY):
                due = min(loop.time(), began + len(got) / NODE_BYTES_S) + NODE_STALL_S
                async with asyncio.timeout_at(due):
                    if not (more := await reader.read(65536)):
                        return
                got += more
            if b"chunked" in head and not got.endswith(b"0\r\n\r\n"):
                await reader.readuntil(b"0\r\n\r\n")
        except TimeoutError:
            writer.write(SLOW)
            return
        writer.write(TAKEN)


def post(user: str, *, chunked: bool = False) -> tuple[bytes, bytes]:
    """Head and body of an upload."""
    digest = base64.b64encode(hashlib.sha256(BODY).digest())
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(BODY)
    head = b"POST /%b HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: %b\r\n" % (
        user.encode(),
        token(user).encode(),
    )
    head += b"Content-Digest: sha-256=:%b:\r\n%b\r\n\r\n" % (digest, framing)
    return head, b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY) if chunked else BODY


async def asked(port: int, *pieces: bytes, tls: ssl.SSLContext | None = None) -> bytes:
    """Send the pieces at full speed, keep the connection open, and read the whole answer."""
    name = "localhost" if tls else None
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=name)
    writer.write(b"".join(pieces))
    async with asyncio.timeout(60):
        answer = await reader.read()
    writer.close()
    return answer


@asynccontextmanager
async def path(*, extra: tuple[str, ...] = ()) -> AsyncIterator[tuple[Balancer, FaultProxy]]:
    """A balancer, and the way from it to its only node."""
    async with (
        raw_node(strict) as port,
        FaultProxy(port) as proxy,
        balancer(("a", proxy.port), environment=SETTINGS, hash_on="bearer-sub", extra=extra) as lb,
    ):
        yield lb, proxy


@pytest.mark.parametrize(
    ("framing", "toxic"),
    [
        ("length", Hole("up")),
        ("chunked", Hole("up")),
        ("tls", Hole("up")),
        ("length", Trickle(2_000)),
        ("length", Blackhole("down")),
    ],
    ids=["hole", "chunked", "tls", "too slow for the node", "answers vanish"],
)
async def test_a_phone_that_sent_in_time_is_told_504_with_a_ticket(tmp_path: Path, framing: str, toxic: Toxic) -> None:
    """Whatever vanished or crawled behind the balancer, and however the phone sent its body."""
    extra: tuple[str, ...] = ()
    tls = None
    if framing == "tls":
        cert, key = made_certificate(tmp_path)
        extra, tls = ("--tls-cert", cert, "--tls-key", key), trusting()
    async with path(extra=extra) as (lb, proxy):
        with proxy.toxic(toxic):
            answer = await asked(lb.port, *post("phone", chunked=framing == "chunked"), tls=tls)
        assert toxic.hits
    assert status_of(answer) == 504
    assert TICKET in answer
    assert b"\r\nRetry-After: " in answer


async def test_a_slow_path_that_the_node_bears_costs_nothing() -> None:
    """20 KB/s between balancer and node, for a phone that is much faster."""
    async with path() as (lb, proxy):
        with proxy.toxic(Trickle(20_000)) as toxic:
            answer = await asked(lb.port, *post("phone"))
        assert toxic.hits > 10
    assert status_of(answer) == 201


@pytest.mark.parametrize("sent", [0, 30_000])
async def test_a_slow_phone_is_still_told_408(sent: int) -> None:
    """The control: silent behind its head or in the middle of its body; no ticket, and nothing against the node."""
    async with path() as (lb, _):
        head, body = post("phone")
        answer = await asked(lb.port, head, body[:sent])
        assert (await lb.admin_json())[0]["state"] == "healthy"
    assert status_of(answer) == 408
    assert TICKET not in answer


async def test_a_slow_phone_that_the_node_cuts_first_is_told_408() -> None:
    """In front of a stricter server, the phone's own silence since its head explains the 408."""
    lax = SETTINGS | {"SNAPSURGE_LB_BODY_STALL_S": "30", "SNAPSURGE_LB_BODY_GRACE_S": "30"}
    async with raw_node(strict) as port, balancer(("a", port), environment=lax, hash_on="bearer-sub") as lb:
        head, body = post("phone")
        answer = await asked(lb.port, head, body[:10])
    assert status_of(answer) == 408
    assert answer.endswith(b"too slow")
    assert TICKET not in answer


async def test_a_node_that_gets_no_large_request_is_ejected_by_its_check() -> None:
    """Its page answers, and small requests do; users go to the other node until the hole is gone."""
    fast = SETTINGS | {"SNAPSURGE_LB_CHECK_MS": "100", "SNAPSURGE_LB_CHECK_FAST_MS": "100"}
    async with (
        raw_node(strict) as a,
        raw_node(strict) as b,
        FaultProxy(b) as proxy,
        balancer(("a", a), ("b", proxy.port), environment=fast, check="/readyz", hash_on="bearer-sub") as lb,
    ):

        async def b_is(state: str) -> bool:
            return (await lb.admin_json())[1]["state"] == state

        await until(lambda: b_is("healthy"))
        with proxy.toxic(Hole("up")):
            await until(lambda: b_is("dead"))
            answers = await asyncio.gather(*(asked(lb.port, *post(f"user-{number}")) for number in range(20)))
            assert await b_is("dead")
        assert [status_of(answer) for answer in answers] == [201] * 20
        await until(lambda: b_is("healthy"))


@asynccontextmanager
async def three(folder: Path, redis_url: str) -> AsyncIterator[tuple[Scene, FaultProxy]]:
    """Three real nodes behind two balancers, all healthy, and the way of both to node b."""
    scene = Scene(folder)
    async with AsyncExitStack() as opened:
        ports: dict[str, int] = {}
        for name in "abc":
            scene.set_clock(name, 0.0)
            one = node(scene, name, f"file://{folder}/store", redis_url, **NODE)
            ports[name] = await opened.enter_async_context(one)
        proxy = await opened.enter_async_context(FaultProxy(ports["b"]))
        ports["b"] = proxy.port
        for _ in range(2):
            made = balancer(*ports.items(), environment=TICKETS | BEFORE_IT, check="/readyz", hash_on="bearer-sub")
            scene.doors.append(await opened.enter_async_context(made))
        await until(lambda: scene.all_see(dict.fromkeys("abc", True)))
        yield scene, proxy


@pytest.mark.parametrize(("size", "reasons"), [(1400, ("check timed out",)), (CHECKS_FIT, ("5xx or no answer",))])
async def test_a_node_behind_a_hole_costs_nobody_the_time(
    tmp_path: Path, redis_url: str, size: int, reasons: tuple[str, ...]
) -> None:
    """Checks find the hole, or pass it and uploads find it: no 408, a ticket for each, b is ejected and returns."""
    async with three(tmp_path, redis_url) as (scene, proxy), phones(scene) as made:
        made.pair = pair(len(BODY))
        with proxy.toxic(Hole("up", size)) as hole:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(made.run("hole", 12))
                await until(lambda: scene.all_see({"a": True, "b": False, "c": True}))
                seen = [of["b"][1] for of in await scene.states()]
        assert hole.hits
        assert all(any(reason in one for reason in reasons) for one in seen), seen
        await until(lambda: scene.all_see(dict.fromkeys("abc", True)))
    print(f"refused: {made.refused}")  # noqa: T201 - the evidence, for `pytest -s`
    assert made.failed == []
    assert len(made.tries) == 120
    assert all(status != 408 and ticket for status, ticket in made.refused)
