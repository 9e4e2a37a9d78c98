"""What a resumable upload needs of the balancer: bytes that came reach the node, and later requests find the holder."""

import asyncio
import contextlib
import re
import signal
from functools import partial

import aiohttp
import pytest
from redis.asyncio import Redis

from ingest.heartbeat import Heartbeat, Member
from tests.e2e.holders import SETTINGS, SIZE, Holder, holder, phone
from tests.e2e.test_lb_harness import PATIENCE_S, Balancer, balancer, problem_of, status_of, until

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("hops", [1, 2])
@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("sent", [1000, 80_001])
async def test_what_came_before_a_client_left_reaches_the_node(sent: int, hops: int, reset: bool) -> None:  # noqa: FBT001
    """To the last byte, also what the balancer let wait in the kernel for the next pieces."""
    async with (
        holder("a") as node,
        balancer(("a", node.port), hash_on="bearer-sub") as inner,
        balancer(("a", inner.port), hash_on="bearer-sub") as outer,
    ):
        door = (inner, outer)[hops - 1]
        for turn in range(10):
            node.ended.clear()
            async with phone(door) as one:
                path, _ = await one.begin(sent=sent // 2)
                door.process.send_signal(signal.SIGSTOP)  # The rest and the end come in one look at the socket.
                await one.send(sent - sent // 2)
                await one.leave(reset=reset)
                door.process.send_signal(signal.SIGCONT)
                await node.ended.wait()
            assert node.uploads[path] == sent, turn


async def ring(*names: str, stack: contextlib.AsyncExitStack) -> tuple[list[Holder], Balancer]:
    """A balancer over these nodes, without active checks."""
    nodes = [await stack.enter_async_context(holder(name)) for name in names]
    return nodes, await stack.enter_async_context(balanced(*nodes))


def balanced(*nodes: Holder) -> contextlib.AbstractAsyncContextManager[Balancer]:
    """A balancer over these nodes; all have one secret for tickets."""
    return balancer(*((node.name, node.port) for node in nodes), hash_on="bearer-sub", environment=SETTINGS)


async def told(lb: Balancer, line: str, *, user: str, body: bytes = b"") -> tuple[int, str, bytes]:
    """Status, node and head of the answer on a connection of its own."""
    async with phone(lb, user) as one:
        return await one.told(line, body=body)


async def admin(lb: Balancer, path: str, **body: object) -> None:
    """An operator's change, in force."""
    url = f"http://127.0.0.1:{lb.admin}/nodes{path}"
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as answer:
        assert answer.status == 200, await answer.text()


async def parked(lb: Balancer, nodes: list[Holder], user: str) -> tuple[str, Holder]:
    """An upload of this user, broken after 1000 bytes: its path, and who holds it."""
    async with phone(lb, user) as one:
        path, _ = await one.begin(sent=1000)
        await one.leave(reset=False)
    [node] = [node for node in nodes if path in node.uploads]
    await node.ended.wait()
    node.ended.clear()
    return path, node


async def test_a_node_that_joins_takes_no_upload_with_its_users() -> None:
    """Users whose home is the new node now find their uploads where they are; all else of theirs goes to it."""
    async with contextlib.AsyncExitStack() as stack:
        nodes, lb = await ring("a", "b", stack=stack)
        uploads = {user: await parked(lb, nodes, user) for user in map(str, range(20))}
        new = await stack.enter_async_context(holder("c"))
        await admin(lb, "", id="c", address=f"127.0.0.1:{new.port}")
        moved = [user for user in uploads if (await told(lb, "GET /x", user=user))[1] == "c"]
        assert moved
        for user, (path, node) in uploads.items():
            assert (await told(lb, f"HEAD {path}", user=user))[:2] == (200, node.name)
            status, name, head = await told(lb, f"PATCH {path}", user=user, body=b"x" * 500)
            assert (status, name) == (200, node.name)
            assert b"Upload-Offset: 1500\r\n" in head
            for method in ("OPTIONS", "GET", "DELETE"):
                assert (await told(lb, f"{method} {path}", user=user))[1] == node.name


@pytest.mark.parametrize("change", ["drain", "weight"])
async def test_a_node_that_gets_no_users_is_asked_for_its_uploads(change: str) -> None:
    """Until it is gone; then the request goes by its key, and the answer there is 404."""
    async with contextlib.AsyncExitStack() as stack:
        nodes, lb = await ring("a", "b", stack=stack)
        path, node = await parked(lb, nodes, "u")
        [other] = [one for one in nodes if one is not node]
        await admin(lb, f"/{node.name}/{change}", **({"weight": 0} if change == "weight" else {}))
        assert (await told(lb, "GET /x", user="u"))[1] == other.name
        assert (await told(lb, f"PATCH {path}", user="u", body=b"xx"))[:2] == (200, node.name)
        await admin(lb, f"/{node.name}/remove")

        assert (await told(lb, f"PATCH {path}", user="u", body=b"xx"))[:2] == (404, other.name)


async def states(lb: Balancer) -> dict[str, str]:
    """The nodes' states, by name."""
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{lb.admin}/nodes") as answer:
        return {one["id"]: one["state"] for one in await answer.json()}


async def is_state(lb: Balancer, name: str, state: str | None) -> bool:
    """Whether the node is in this state; None: no member."""
    return (await states(lb)).get(name) == state


async def test_a_node_that_fails_its_checks_is_asked_for_its_uploads() -> None:
    """It gets nothing else; one that listens no more is not asked, and 404 at the other is true then."""
    async with contextlib.AsyncExitStack() as stack, contextlib.AsyncExitStack() as alive:
        nodes = [await alive.enter_async_context(holder("a")), await stack.enter_async_context(holder("b"))]
        fast = SETTINGS | {"SNAPSURGE_LB_CHECK_MS": "100", "SNAPSURGE_LB_CHECK_FAST_MS": "50"}
        ports = ((node.name, node.port) for node in nodes)
        lb = await stack.enter_async_context(balancer(*ports, hash_on="bearer-sub", environment=fast, check="/readyz"))
        user = await homed(lb, "a")
        path, node = await parked(lb, nodes, user)
        node.ready = False
        await until(partial(is_state, lb, "a", "dead"))
        assert (await told(lb, "GET /x", user=user))[1] == "b"
        assert (await told(lb, f"HEAD {path}", user=user))[:2] == (200, "a")
        assert (await told(lb, f"PATCH {path}", user=user, body=b"xx"))[:2] == (200, "a")

        node.die()
        await alive.aclose()
        assert (await told(lb, f"HEAD {path}", user=user))[:2] == (404, "b")


async def test_a_node_without_heartbeats_is_asked_for_its_uploads(redis: Redis, redis_url: str) -> None:
    """Although it is no member any more; another member at its address is not asked in its place."""
    async with contextlib.AsyncExitStack() as stack:
        nodes = {name: await stack.enter_async_context(holder(name)) for name in "ab"}

        tasks = await stack.enter_async_context(asyncio.TaskGroup())

        def beating(name: str, port: int) -> asyncio.Task[None]:
            beat = Heartbeat(redis, name, lambda: Member(f"127.0.0.1:{port}", 1, "", "serving"), 0.2)
            running = tasks.create_task(beat.run())
            stack.callback(running.cancel)
            return running

        running = [beating(name, node.port) for name, node in nodes.items()]
        polls = {"SNAPSURGE_LB_MEMBERS_LATE_MS": "1000", "SNAPSURGE_LB_MEMBERS_GONE_S": "2"}
        environment = SETTINGS | polls | {"SNAPSURGE_REDIS_URL": redis_url}
        lb = await stack.enter_async_context(balancer(hash_on="bearer-sub", environment=environment))
        await until(partial(is_state, lb, "a", "healthy"))
        path, node = await parked(lb, list(nodes.values()), await homed(lb, "a"))
        assert node is nodes["a"]
        running[0].cancel()
        await until(partial(is_state, lb, "a", None))
        assert (await told(lb, f"PATCH {path}", user="u", body=b"xx"))[:2] == (200, "a")

        beating("c", nodes["a"].port)
        await until(partial(is_state, lb, "c", "healthy"))
        user = await homed(lb, "b")
        nodes["a"].heads.clear()
        assert (await told(lb, f"HEAD {path}", user=user))[:2] == (404, "b")
        assert nodes["a"].heads == []


@pytest.mark.parametrize("digest", [False, True])
async def test_a_node_killed_in_mid_body(digest: bool) -> None:  # noqa: FBT001 - a parameter of pytest
    """After its 104 the phone gets 502, nothing stored, with a ticket; the 104 has one too where a digest is bound.

    The upload is 404 elsewhere then; a new one with the ticket is a retry with the time of the first.
    """
    fields = [f"Content-Digest: sha-256=:{'YWJj' * 10}YWI=:"] * digest
    async with contextlib.AsyncExitStack() as stack:
        other = await stack.enter_async_context(holder("b"))
        async with contextlib.AsyncExitStack() as alive:
            node = await alive.enter_async_context(holder("a"))
            lb = await stack.enter_async_context(balanced(node, other))
            user = await homed(lb, "a")
            one = await stack.enter_async_context(phone(lb, user))
            path, interim = await one.begin(*fields, sent=100_000)
            node.die()
            await alive.aclose()
        answer = await one.reader.read()
        assert status_of(answer) == 502
        assert problem_of(answer)["stored"] is False
        assert b"\r\nConnection: close\r\n" in answer
        assert (b"Snapsurge-Ticket: " in answer, b"Snapsurge-Ticket: " in interim) == (True, digest)
        assert (await told(lb, f"HEAD {path}", user=user))[:2] == (404, "b")
        counted = {key: count for key, count in (await holders(lb)).items() if count}
        assert counted == {"asked": 1, "away": 1}  # Its connection was refused.

        ticket = (interim if digest else answer).decode().split("Snapsurge-Ticket: ")[1].split("\r\n")[0]
        again = await stack.enter_async_context(phone(lb, user))
        await again.begin(*fields, f"Snapsurge-Ticket: {ticket}", sent=0)
        assert b"\r\nSnapsurge-Retry: 1\r\n" in other.heads[-1]
        assert received_ms(other.heads[-1]) == received_ms(node.heads[-1])


async def test_a_balancer_killed_in_mid_body_leaves_the_upload_at_its_node() -> None:
    """Another balancer finds the node, which has the bytes that had been passed on."""
    async with contextlib.AsyncExitStack() as stack:
        nodes, lb = await ring("a", "b", stack=stack)
        second = await stack.enter_async_context(balanced(*nodes))
        async with phone(lb) as one:
            path, _ = await one.begin(sent=200_000)
            [node] = [node for node in nodes if path in node.uploads]

            async def arrives() -> bool:
                return node.uploads[path] > 0

            await until(arrives)
            lb.process.kill()
            with contextlib.suppress(ConnectionError):
                assert await one.reader.read() == b""
        async with asyncio.timeout(PATIENCE_S):
            await node.ended.wait()
        offset = node.uploads[path]
        assert 0 < offset <= 200_000

        status, name, head = await told(second, f"HEAD {path}", user="u")
        assert (status, name) == (200, node.name)
        assert f"Upload-Offset: {offset}\r\n".encode() in head
        rest = b"x" * (SIZE - offset)
        assert f"Upload-Offset: {SIZE}\r\n".encode() in (await told(second, f"PATCH {path}", user="u", body=rest))[2]


async def homed(lb: Balancer, name: str) -> str:
    """A user whose home is this node."""
    for user in map(str, range(50)):
        if (await told(lb, "GET /x", user=user))[1] == name:
            return user
    raise AssertionError(name)


async def holders(lb: Balancer) -> dict[str, int]:
    """How often a node was found by a path."""
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{lb.admin}/metrics") as answer:
        found = re.findall(r'snapsurge_lb_holders_total\{outcome="(\w+)"\} (\d+)', await answer.text())
    return {outcome: int(count) for outcome, count in found}


def received_ms(head: bytes) -> int:
    """When the balancer says that the request was received."""
    return int(head.split(b"Snapsurge-Received-At: ")[1].split(b"\r\n")[0])
