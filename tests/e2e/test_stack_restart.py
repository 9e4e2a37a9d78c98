"""Balancers and nodes restarted one after another, and one balancer killed, under uploads: nothing is lost.

Uploads are on connections of their own, as phones make them, with no retry: a refused or cut connection, or any status
but 201, fails.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from bench.photos import Gallery
from deploy.tokens import token

ROOT = Path(__file__).resolve().parents[2]
SECRET = "a-secret-of-at-least-thirty-two-bytes"
START_S = 90

pytestmark = pytest.mark.e2e


@asynccontextmanager
async def stack(state: Path, *settings: str) -> AsyncIterator[dict]:
    """A stack with two balancers and two nodes on free ports; yields what `up --json` says."""
    process = await asyncio.create_subprocess_exec(
        *("env", f"SNAPSURGE_AUTH_SECRET={SECRET}", *settings),
        *(sys.executable, "-m", "deploy", "up", "--json", "--port", "0", "--nodes", "2", "--balancers", "2"),
        *("--state", str(state), "--workers-min", "1", "--workers-max", "1"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(START_S):
            ready = json.loads(await process.stdout.readline())
        yield ready
    finally:
        if process.returncode is None:
            process.terminate()
        assert await process.wait() == 0


async def moment(door: str) -> str:
    """An open moment."""
    ops = {"Authorization": f"Bearer {token(SECRET, 'ops', 'ops', now=time.time(), ttl_s=3600)}"}
    body = {"region": "test"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{door}/v1/moments", json=body, headers=ops) as answer,
    ):
        assert answer.status == 201
        return (await answer.json())["id"]


class Phones:
    """Uploads of users never seen before, some at once, until told to stop."""

    def __init__(self, doors: list[str], moment_id: str, *, second_door: bool = False) -> None:
        self.doors, self.moment_id, self.second_door = doors, moment_id, second_door
        gallery = Gallery(1)
        self.photos = {side: gallery.photo("k", side, gallery.smallest_bytes) for side in ("front", "back")}
        self.statuses: list[str] = []
        self.enough = asyncio.Event()

    async def upload(self, session: aiohttp.ClientSession, number: int) -> str:
        """One upload; its status, or the error."""
        name = f"user-{number}"
        head = {"Authorization": f"Bearer {token(SECRET, name, 'upload', now=time.time(), ttl_s=3600)}"}
        for attempt in range(2 if self.second_door else 1):
            door = self.doors[(number + attempt) % len(self.doors)]
            form = aiohttp.FormData()
            for side in ("front", "back"):
                form.add_field(side, self.photos[side], filename=f"{side}.jpg", content_type="image/jpeg")
            try:
                async with session.post(f"{door}/v1/moments/{self.moment_id}/posts", data=form, headers=head) as answer:
                    await answer.read()
                    said = str(answer.status)
            except (aiohttp.ClientError, OSError) as error:
                said = repr(error)
            if said in {"200", "201"}:
                return "201"
        return said

    async def run(self, least: int, at_once: int) -> None:
        """Upload until told that it is enough, but at least so many."""
        numbers = iter(range(10**9))
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:

            async def phone() -> None:
                while len(self.statuses) < least or not self.enough.is_set():
                    self.statuses.append(await self.upload(session, next(numbers)))
                    await asyncio.sleep(0.02)

            async with asyncio.TaskGroup() as tasks:
                for _ in range(at_once):
                    tasks.create_task(phone())

    @property
    def failed(self) -> list[str]:
        """What was not accepted."""
        return [said for said in self.statuses if said != "201"]


async def restarted(state: Path, least: int, rounds: int) -> None:
    """So many uploads at least, during so many rolling restarts."""
    async with stack(state) as ready:
        doors = [balancer["url"] for balancer in ready["balancers"]]
        phones = Phones(doors, await moment(doors[0]))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(phones.run(least, 4))
            pids = [ready[kind][n]["pid"] for kind in ("balancers", "nodes") for n in range(2)]
            for _ in range(rounds):
                command = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "deploy", "restart", "--state", str(state)), cwd=ROOT
                )
                assert await command.wait() == 0
                now = json.loads((state / "stack.json").read_text())
                fresh = [now[kind][n]["pid"] for kind in ("balancers", "nodes") for n in range(2)]
                assert not set(fresh) & set(pids)
                pids = fresh
            phones.enough.set()
        print(f"{len(phones.statuses)} uploads, {rounds} rounds, failed: {len(phones.failed)}")  # noqa: T201
        assert phones.failed == []
        assert len(phones.statuses) >= least


async def test_a_rolling_restart_costs_no_upload(tmp_path: Path) -> None:
    """Three hundred uploads and more while everything is restarted once: all are accepted at the first try."""
    await restarted(tmp_path / "stack", 300, 1)


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_three_rolling_restarts_cost_none_of_5000_uploads(tmp_path: Path) -> None:
    """The same, longer."""
    await restarted(tmp_path / "stack", 5000, 3)


async def test_a_killed_balancer_costs_no_client_that_knows_both(tmp_path: Path) -> None:
    """SIGKILL for one of two under load: clients given both addresses, as DNS gives them, lose nothing."""
    async with stack(tmp_path / "stack") as ready:
        doors = [balancer["url"] for balancer in ready["balancers"]]
        phones = Phones(doors, await moment(doors[0]), second_door=True)

        async def strike() -> None:
            while len(phones.statuses) < 50:  # noqa: ASYNC110 - simple enough
                await asyncio.sleep(0.05)
            with contextlib.suppress(ProcessLookupError):
                os.kill(ready["balancers"][0]["pid"], signal.SIGKILL)
            phones.enough.set()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(phones.run(300, 4))
            tasks.create_task(strike())
        assert phones.failed == []
