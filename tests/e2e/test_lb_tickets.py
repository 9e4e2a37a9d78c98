"""Over real balancers and nodes, a retry with its ticket is as late as its first try was, and no later.

Be it that the node was full, died under the upload, or that there was none. A moment's window ends between the tries.
Whether a post is late follows from the `received_at` in its answer alone.
"""

import asyncio
import io
import json
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from PIL import Image

from tests.e2e.test_lb_harness import ROOT, Balancer, balancer, until
from tests.ports import free_port

pytestmark = pytest.mark.e2e

AUTH = "a-secret-for-tests-of-32-characters"
TICKETS = {"SNAPSURGE_LB_TICKET_SECRET": "the-secret-of-both-balancers"}
WINDOW_S = 4
NAME = "Snapsurge-Ticket"


class Node:
    """A real upload node over a folder, which can be killed and started again on its port."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.port = free_port()
        self._words = [f"{name}={value}" for name, value in environment.items()]
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Until it answers."""
        address = f"127.0.0.1:{self.port}"
        command = ("env", *self._words, sys.executable, "-m", "ingest", "--listen", address)
        self._process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=asyncio.subprocess.DEVNULL)

        async def answers() -> bool:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                return False
            writer.close()
            return True

        await until(answers)

    async def kill(self) -> None:
        """SIGKILL."""
        if self._process and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


@asynccontextmanager
async def node(folder: Path, redis_url: str, **settings: str) -> AsyncIterator[Node]:
    """A node with these settings."""
    common = {"SNAPSURGE_AUTH_SECRET": AUTH, "SNAPSURGE_STORE_URL": folder.as_uri(), "SNAPSURGE_REDIS_URL": redis_url}
    made = Node(common | {f"SNAPSURGE_INGEST_{name}": value for name, value in settings.items()})
    await made.start()
    try:
        yield made
    finally:
        await made.kill()


def photo(colour: str) -> bytes:
    """A small one."""
    out = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(out, "JPEG")
    return out.getvalue()


def form() -> bytes:
    """A pair, boundary `x`."""
    head = b'--x\r\nContent-Disposition: form-data; name="%b"; filename="p.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    pair = ((b"front", photo("teal")), (b"back", photo("navy")))
    return b"".join(head % name + data + b"\r\n" for name, data in pair) + b"--x--\r\n"


PAIR = form()


def head(moment: Mapping[str, Any], user: str, ticket: str = "") -> bytes:
    """The head of an upload."""
    token = jwt.encode({"sub": user, "scope": "upload"}, AUTH, "HS256")
    lines = [f"POST /v1/moments/{moment['id']}/posts HTTP/1.1", "Host: a", f"Authorization: Bearer {token}"]
    lines += ["Content-Type: multipart/form-data; boundary=x", f"Content-Length: {len(PAIR)}"]
    lines += [f"{NAME}: {ticket}"] if ticket else []
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode()


class Upload:
    """One try over a connection of its own, its body sent in two parts."""

    async def begin(self, lb: Balancer, moment: Mapping[str, Any], user: str, ticket: str = "") -> "Upload":
        """Head and half of the body."""
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", lb.port)
        self.writer.write(head(moment, user, ticket) + PAIR[:1000])
        await self.writer.drain()
        return self

    async def end(self) -> tuple[int, str, dict[str, Any]]:
        """The rest; then the answer."""
        self.writer.write(PAIR[1000:])
        return await self.answer()

    async def answer(self) -> tuple[int, str, dict[str, Any]]:
        """Status, ticket and JSON of the answer."""
        async with asyncio.timeout(30):
            raw = await self.reader.read()
        self.writer.close()
        fields, _, body = raw.partition(b"\r\n\r\n")
        found = [line.partition(": ")[2] for line in fields.decode().split("\r\n") if line.startswith(f"{NAME}:")]
        return int(raw[9:12]), "".join(found), json.loads(body)


async def upload(lb: Balancer, moment: Mapping[str, Any], user: str, ticket: str = "") -> tuple[int, str, Any]:
    """A whole try."""
    return await (await Upload().begin(lb, moment, user, ticket)).end()


async def opened(lb: Balancer) -> dict[str, Any]:
    """A moment that has just fired and will soon be over."""
    token = jwt.encode({"sub": "ops", "scope": "ops"}, AUTH, "HS256")
    wanted = {"region": "e2e", "window_s": WINDOW_S}
    async with (
        aiohttp.ClientSession(lb.url, headers={"Authorization": f"Bearer {token}"}) as session,
        session.post("/v1/moments", json=wanted) as answer,
    ):
        assert answer.status == 201, await answer.text()
        return await answer.json()


async def in_flight(port: int, uploads: int) -> None:
    """Until the node at this port has admitted so many."""
    line = f"snapsurge_ingest_in_flight_requests {uploads}.0\n"
    async with asyncio.timeout(30), aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        while True:
            async with session.get("/metrics") as answer:
                if line in await answer.text():
                    return
            await asyncio.sleep(0.05)


async def over(moment: Mapping[str, Any]) -> None:
    """Until the window has ended."""
    await asyncio.sleep(datetime.fromisoformat(moment["closes_at"]).timestamp() - time.time() + 0.01)


def on_time(moment: Mapping[str, Any], answer: tuple[int, str, Any]) -> bool:
    """Whether the post that was accepted is."""
    status, _, post = answer
    assert status == 201, post
    return datetime.fromisoformat(post["received_at"]) <= datetime.fromisoformat(moment["closes_at"])


async def test_a_client_that_was_shed_is_as_late_as_its_first_try(tmp_path: Path, redis_url: str) -> None:
    """On time with its ticket, late with none, with another user's, or if the first try was late; a ticket renews."""
    full = {"IN_FLIGHT_REQUESTS_MAX": "1"}
    async with node(tmp_path, redis_url, **full) as one, balancer(("a", one.port), hash_on="bearer-sub") as lb:
        moment = await opened(lb)
        holding = await Upload().begin(lb, moment, "holder")
        await in_flight(one.port, 1)
        status, ticket, problem = await upload(lb, moment, "ann")
        assert (status, problem["code"], problem["stored"]) == (503, "overloaded", False)
        await over(moment)
        again, renewed, _ = await upload(lb, moment, "ann", ticket)
        late, late_ticket, _ = await upload(lb, moment, "tom")
        assert (again, late) == (503, 503)
        assert renewed != ticket
        assert (await holding.end())[0] == 201

        assert on_time(moment, await upload(lb, moment, "ann", renewed))
        assert not on_time(moment, await upload(lb, moment, "bob"))
        assert not on_time(moment, await upload(lb, moment, "eve", ticket))
        assert not on_time(moment, await upload(lb, moment, "tom", late_ticket))
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{lb.admin}/metrics") as answer:
            metrics = await answer.text()
    for outcome, count in (("given", 3), ("honoured", 3), ("foreign", 1)):
        assert f'snapsurge_lb_tickets_total{{outcome="{outcome}"}} {count}.0' in metrics


async def test_a_client_whose_node_was_killed_is_as_late_as_its_first_try(tmp_path: Path, redis_url: str) -> None:
    """502 with a ticket from under the upload; the node's next life takes the retry as received at first."""
    async with node(tmp_path, redis_url) as one, balancer(("a", one.port), hash_on="bearer-sub") as lb:
        moment = await opened(lb)
        trying = await Upload().begin(lb, moment, "ann")

        async def at_the_node() -> bool:
            return any(row["in_flight"] for row in await lb.admin_json())

        await until(at_the_node)
        await one.kill()
        # Without the rest: a balancer that had it before it noticed would have to say that it does not know.
        status, ticket, problem = await trying.answer()
        assert (status, problem["stored"]) == (502, False)  # the node never had the whole
        await over(moment)
        await one.start()

        async def served() -> bool:
            return (await upload(lb, moment, "bob"))[0] in {200, 201}

        await until(served)
        assert on_time(moment, await upload(lb, moment, "ann", ticket))


async def test_a_client_that_met_no_node_is_as_late_as_its_first_try_at_any_balancer(
    tmp_path: Path, redis_url: str
) -> None:
    """503 at a balancer without nodes; another one with the same secret honours the ticket, one without does not."""
    async with (
        node(tmp_path, redis_url) as one,
        balancer(("a", free_port()), environment=TICKETS) as first,
        balancer(("a", one.port), environment=TICKETS) as second,
        balancer(("a", one.port)) as stranger,
    ):
        moment = await opened(second)
        refused = [await upload(first, moment, user) for user in ("ann", "bob")]
        assert [(status, problem["code"]) for status, _, problem in refused] == [(503, "no-nodes")] * 2
        await over(moment)

        assert on_time(moment, await upload(second, moment, "ann", refused[0][1]))
        assert not on_time(moment, await upload(stranger, moment, "bob", refused[1][1]))
    assert any("SNAPSURGE_LB_TICKET_SECRET is not set" in line for line in stranger.log)
    assert not any("SNAPSURGE_LB_TICKET_SECRET" in line for line in second.log)
