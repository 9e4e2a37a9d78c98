"""Phones that resume without a digest are on time whatever of ours fails: two nodes, one store, a balancer between.

Each upload begins in the window and is broken once; the fault comes when the window is over.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ingest.resuming.tokens import hint_of
from tests.e2e.lone_node import pair, token
from tests.e2e.test_lb_harness import Balancer, balancer
from tests.e2e.test_lb_tickets import TICKETS, Node, node, on_time, opened, over
from tests.resumable import Answer, Peer

pytestmark = pytest.mark.e2e
BODY = pair(120_000)
BEGUN = 50_000
# Little room: a user's second upload takes the place of the first.
SMALL = {"PHOTO_BYTES_MAX": "70000", "IN_FLIGHT_BYTES_MAX": "200000"}


@asynccontextmanager
async def rig(folder: Path, redis_url: str, **settings: str) -> AsyncIterator[tuple[Balancer, list[Node]]]:
    """Two nodes of one store behind a balancer, which stands behind another one that it trusts."""
    (folder / "store").mkdir()
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(node(folder / "store", redis_url, **settings)) for _ in range(2)]
        members = [(f"127.0.0.1:{one.port}", one.port) for one in nodes]
        trusting = {**TICKETS, "SNAPSURGE_LB_TRUSTED_PEERS": "127.0.0.0/8"}
        inner = await stack.enter_async_context(balancer(*members, hash_on="bearer-sub", environment=trusting))
        outer = balancer(("inner", inner.port), hash_on="bearer-sub", environment=TICKETS)
        yield await stack.enter_async_context(outer), nodes


@contextmanager
def outage(folder: Path) -> Iterator[None]:
    """The store takes nothing meanwhile."""
    (folder / "store").rename(folder / "aside")
    (folder / "store").touch()
    try:
        yield
    finally:
        (folder / "store").unlink()
        (folder / "aside").rename(folder / "store")


async def anew(phone: Peer, moment: dict[str, Any], refused: Answer) -> Answer:
    """The whole pair once more, with the ticket of a refusal."""
    assert "snapsurge-begun" not in refused.fields
    ticket = next(line for line in refused.raw.decode().split("\r\n") if line.startswith("Snapsurge-Ticket: "))
    return await phone.ask(phone.creation(moment["id"], len(BODY), ticket), BODY)


def is_on_time(moment: dict[str, Any], answer: Answer) -> bool:
    """Whether an acknowledged post counts as received in the window."""
    assert answer.status == 201, answer
    return on_time(moment, (answer.status, "", msgspec.json.decode(answer.body)))


@pytest.mark.parametrize("way", ["resumes", "begins anew"])
async def test_a_store_that_fails_makes_nobody_late(tmp_path: Path, redis_url: str, way: str) -> None:
    """The bytes wait at the node for an empty PATCH; whoever sends all again has a ticket of the first time."""
    async with rig(tmp_path, redis_url) as (lb, _):
        moment, phone = await opened(lb), Peer(lb.port, token("ann"))
        location = await phone.broken(moment["id"], BODY, BEGUN)
        await over(moment)
        with outage(tmp_path):
            refused = await phone.ask(phone.patch(location, BEGUN, len(BODY) - BEGUN), BODY[BEGUN:])
        assert (refused.status, refused.fields["upload-complete"]) == (503, "?0")
        assert refused.fields["upload-offset"] == str(len(BODY))
        if way == "resumes":
            done = await phone.ask(phone.patch(location, len(BODY), 0))
        else:
            done = await anew(phone, moment, refused)
        assert is_on_time(moment, done)


async def test_a_node_that_is_full_makes_nobody_late(tmp_path: Path, redis_url: str) -> None:
    """Another upload takes the memory of one that is being resumed: its ticket is of the first time."""
    async with rig(tmp_path, redis_url, **SMALL) as (lb, _):
        moment, phone = await opened(lb), Peer(lb.port, token("ann"))
        location = await phone.broken(moment["id"], BODY, BEGUN)
        await over(moment)
        async with await phone.connect() as moving, await phone.connect() as other:
            head = phone.patch(location, BEGUN, len(BODY) - BEGUN, "Expect: 100-continue")
            moving.send(head)
            assert (await moving.one()).status == 100
            other.send(phone.creation(moment["id"], len(BODY)))
            refused = await moving.answer()
        assert (refused.status, refused.fields["upload-complete"]) == (503, "?1")
        assert is_on_time(moment, await anew(phone, moment, refused))


@pytest.mark.parametrize("known", [True, False])
async def test_a_node_that_stops_makes_nobody_late(tmp_path: Path, redis_url: str, *, known: bool) -> None:
    """At the end of its drain it answers what still moves; of an upload without a known length there is no ticket."""
    async with rig(tmp_path, redis_url, DRAIN_S="1", ANNOUNCE_S="0.1") as (lb, nodes):
        moment, phone = await opened(lb), Peer(lb.port, token("ann"))
        length = [f"Upload-Length: {len(BODY)}"] if known else []
        made = await phone.ask(phone.creation(moment["id"], BEGUN, *length, whole=False), BODY[:BEGUN])
        await over(moment)
        [holder] = [one for one in nodes if hint_of(f"127.0.0.1:{one.port}") in made.location]
        async with await phone.connect() as moving:
            moving.send(phone.patch(made.location, BEGUN, len(BODY) - BEGUN, "Expect: 100-continue"))
            assert (await moving.one()).status == 100
            assert holder._process is not None
            holder._process.send_signal(signal.SIGTERM)
            refused = await moving.answer()
        assert (refused.status, refused.fields["upload-complete"]) == (503, "?1")
        assert ("snapsurge-ticket" in refused.fields) is known
        async with asyncio.timeout(60):
            assert await holder._process.wait() == 0
        if known:
            ticket = refused.raw.decode().split("Snapsurge-Ticket: ")[1].split("\r\n")[0]
            head = phone.creation(moment["id"], BEGUN, *length, f"Snapsurge-Ticket: {ticket}", whole=False)
            made = await phone.ask(head, BODY[:BEGUN])
            done = await phone.ask(phone.patch(made.location, BEGUN, len(BODY) - BEGUN), BODY[BEGUN:])
            assert is_on_time(moment, done)
