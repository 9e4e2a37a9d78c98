"""`--processes`: one port, several balancers, one of them killed; raw clients and a real sink behind."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tests.certificates import made_certificate
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = 60

pytestmark = pytest.mark.e2e


async def answer(request: web.Request) -> web.Response:
    """The node."""
    return web.Response(text=str(len(await request.read())))


async def post(url: str) -> int:
    """One upload over a connection of its own."""
    async with aiohttp.ClientSession() as session, session.post(url, data=bytes(50000), ssl=False) as got:
        assert await got.text() == "50000"
        return got.status


async def ready(log: asyncio.StreamReader, count: int) -> tuple[dict[int, int], str, list[str]]:
    """Pids by process, the URL and the admin URLs, once so many listen."""
    pids: dict[int, int] = {}
    url, admins = "", []
    while len(admins) < count:
        line = (await log.readline()).decode()
        assert line
        if started := re.search(r"process (\d+) started as pid (\d+)", line):
            pids[int(started[1])] = int(started[2])
        if listening := re.search(r"listening on (\S+), admin (\S+)", line):
            url = listening[1]
            admins.append(listening[2])
    return pids, url, admins


async def requests_of(admin: str) -> float:
    """Answered requests that one process counted."""
    async with aiohttp.ClientSession() as session, session.get(f"{admin}/nodes") as got:
        return sum(node["requests"] for node in await got.json())


@asynccontextmanager
async def node() -> AsyncIterator[str]:
    """A node as an option of the command line."""
    app = web.Application()
    app.router.add_post("/x", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"--node=a=127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@asynccontextmanager
async def group(*extra: str, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Two balancer processes on one port."""
    lb = await asyncio.create_subprocess_exec(
        *("env", *(f"{name}={value}" for name, value in settings.items()), sys.executable, "-m", "lb"),
        *("--admin", "127.0.0.1:0", "--check", "off", "--processes", "2", "--log", "text", *extra),
        cwd=ROOT,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield lb
    finally:
        if lb.returncode is None:
            lb.kill()
            await lb.wait()


async def test_processes_share_a_port_and_one_may_die() -> None:
    """Both serve; a killed one is started anew; SIGTERM drains all and the status is 0."""
    async with node() as option, group("--listen", "127.0.0.1:0", option) as lb:
        assert lb.stderr
        pids, url, admins = await ready(lb.stderr, 2)
        assert set(await asyncio.gather(*(post(f"{url}/x") for _ in range(CLIENTS)))) == {200}
        shares = [await requests_of(admin) for admin in admins]
        assert sum(shares) == CLIENTS
        assert min(shares) > 0

        os.kill(pids[0], signal.SIGKILL)
        again, _, _ = await ready(lb.stderr, 1)
        assert again.keys() == {0}
        assert set(await asyncio.gather(*(post(f"{url}/x") for _ in range(CLIENTS)))) == {200}

        lb.terminate()
        assert await lb.wait() == 0


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
async def test_a_group_replaces_a_group_and_loses_no_connection(tmp_path: Path, tls: bool) -> None:  # noqa: FBT001
    """Four groups follow one another while clients connect: every request is answered, each group ends with 0."""
    options = ["--listen", f"127.0.0.1:{free_port()}"]
    if tls:
        cert, key = made_certificate(tmp_path)
        options += ["--tls-cert", cert, "--tls-key", key]
    done, sent = asyncio.Event(), 0

    async def clients(url: str) -> None:
        nonlocal sent
        while not done.is_set():
            assert await post(f"{url}/x") == 200
            sent += 1

    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        option = await stack.enter_async_context(node())
        before: asyncio.subprocess.Process | None = None
        for _ in range(4):
            made = group(*options, option, SNAPSURGE_LB_HANDOVER=str(tmp_path / "lb"))
            lb = await stack.enter_async_context(made)
            assert lb.stderr
            _, url, _ = await ready(lb.stderr, 2)
            if before is None:
                for _ in range(8):
                    tasks.create_task(clients(url))
            else:
                assert before.stderr
                assert (await before.stderr.read()).count(b"has handed its sockets over") == 2
                assert await before.wait() == 0
            before, seen = lb, sent
            while sent < seen + CLIENTS:  # noqa: ASYNC110 - the requests of the new group
                await asyncio.sleep(0.01)
        done.set()
