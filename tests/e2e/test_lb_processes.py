"""`--processes`: one port, several balancers, one of them killed; raw clients and a real sink behind."""

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = 60

pytestmark = pytest.mark.e2e


async def answer(request: web.Request) -> web.Response:
    """The node."""
    return web.Response(text=str(len(await request.read())))


async def post(url: str) -> int:
    """One upload over a connection of its own."""
    async with aiohttp.ClientSession() as session, session.post(url, data=bytes(50000)) as got:
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


async def test_processes_share_a_port_and_one_may_die() -> None:
    """Both serve; a killed one is started anew; SIGTERM drains all and the status is 0."""
    app = web.Application()
    app.router.add_post("/x", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    node = runner.addresses[0][1]
    lb = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "lb", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--check", "off"),
        *("--node", f"a=127.0.0.1:{node}", "--processes", "2"),
        cwd=ROOT,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
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
    finally:
        if lb.returncode is None:
            lb.kill()
            await lb.wait()
        await runner.cleanup()
