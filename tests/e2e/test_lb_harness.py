"""The harness of the lb tests: the balancer as a process, nodes in the test's event loop, and raw clients."""

import asyncio
import base64
import contextlib
import json
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
RawHandler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

pytestmark = pytest.mark.e2e


@dataclass
class Balancer:
    """A running `python -m lb`."""

    process: asyncio.subprocess.Process
    port: int
    admin: int
    log: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The URL for clients."""
        return f"http://127.0.0.1:{self.port}"

    async def admin_json(self, path: str = "/nodes") -> list[dict[str, object]]:
        """The JSON that the admin port answers for `path`."""
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self.admin}{path}") as answer:
            return await answer.json()


@asynccontextmanager
async def balancer(
    *nodes: tuple[str, int],
    environment: Mapping[str, str] | None = None,
    check: str = "off",
    hash_on: str = "uri",
    extra: Sequence[str] = (),
) -> AsyncIterator[Balancer]:
    """Run a balancer on free ports over the nodes, which are given as id and port."""
    settings = [f"{name}={value}" for name, value in (environment or {}).items()]
    options = [f"--node={name}=127.0.0.1:{port}" for name, port in nodes]
    process = await asyncio.create_subprocess_exec(
        *("env", *settings, sys.executable, "-m", "lb", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"),
        *(*options, "--check", check, "--hash-on", hash_on, "--log", "text", *extra),
        cwd=ROOT,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        log: list[str] = []
        while process.stderr and (line := (await process.stderr.readline()).decode()):
            log.append(line)
            if ready := re.search(r"listening on https?://[\d.]+:(\d+), admin http://[\d.]+:(\d+)", line):
                break
        else:
            pytest.fail("".join(log))
        yield Balancer(process, int(ready[1]), int(ready[2]), log)
    finally:
        if process.returncode is None:
            process.kill()
        rest = await process.stderr.read() if process.stderr else b""
        await process.wait()
        print("".join(log), rest.decode())  # noqa: T201 - pytest shows it when the test fails
        assert b"Traceback" not in rest


@dataclass
class Sink:
    """A node that accepts every request and keeps it."""

    port: int
    name: str
    requests: list[tuple[str, str, Mapping[str, str], bytes]] = field(default_factory=list)


@asynccontextmanager
async def sink(name: str = "a", handler: Handler | None = None) -> AsyncIterator[Sink]:
    """Run an aiohttp node on a free port; it answers its name and the body's length, or as `handler` does."""
    found = Sink(0, name)

    async def take(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        found.requests.append((request.method, request.path_qs, dict(request.headers), body))
        if handler:
            return await handler(request)
        return web.json_response({"node": name, "length": len(body)})

    app = web.Application(client_max_size=2**30)
    app.router.add_route("*", "/{path:.*}", take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.port = runner.addresses[0][1]
    try:
        yield found
    finally:
        await runner.cleanup()


@asynccontextmanager
async def raw_node(handler: RawHandler) -> AsyncIterator[int]:
    """Run a node whose `handler` gets the raw streams; yields its port."""
    talks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        talks.add(task)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await handler(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        talks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        if talks:
            await asyncio.wait(talks, timeout=PATIENCE_S)


async def talk(port: int, *pieces: bytes) -> bytes:
    """Send the pieces, then send nothing more and read until the peer closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(PATIENCE_S):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            return await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def status_of(answer: bytes) -> int:
    """The status of a raw answer."""
    assert answer, "no answer"
    return int(answer.split(b" ", 2)[1])


def problem_of(answer: bytes) -> dict[str, object]:
    """The problem document of a raw answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    return json.loads(body)


def token(user: str) -> str:
    """A bearer token; its signature is arbitrary, because the balancer does not check it."""
    parts = ({"alg": "HS256"}, {"sub": user, "scope": "upload"})
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return f"Bearer {'.'.join(encoded)}.c2lnbmF0dXJl"


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until the condition holds; how long that takes is not asserted."""
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():  # noqa: ASYNC110 - the condition is another process's
            await asyncio.sleep(0.05)


async def test_the_harness_starts_and_stops_a_balancer() -> None:
    """A balancer over one node is ready, answers, and drains to exit status 0."""
    async with sink() as node, balancer(("a", node.port)) as lb:
        assert status_of(await talk(lb.port, b"GET / HTTP/1.0\r\n\r\n")) == 200
        lb.process.terminate()
        assert await lb.process.wait() == 0
