"""A balancer that is told to stop before it took over changes nothing: the running one serves on, and the next may."""

import asyncio
import os
import random
import re
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.test_lb_harness import ROOT, sink, until
from tests.ports import free_port

CLIENTS, REQUESTS, ROUNDS = 6, 30, 6
LEFT = "stop signal before takeover"

pytestmark = pytest.mark.e2e


class Balancers:
    """`python -m lb` with one process or several; `pids` are the processes that serve."""

    def __init__(self, process: asyncio.subprocess.Process, count: int) -> None:
        self.process, self.count = process, count
        self.log: list[str] = []
        self._whole = asyncio.Event()

    async def read(self) -> None:
        """Collect the log until the end."""
        assert self.process.stderr
        while line := await self.process.stderr.readline():
            self.log.append(line.decode())
        self._whole.set()

    def said(self, text: str) -> int:
        """How many lines contain the text."""
        return sum(text in line for line in self.log)

    async def has_said(self, text: str, times: int) -> bool:
        """Whether so many lines contain the text."""
        return self.said(text) == times

    @property
    def pids(self) -> list[int]:
        """The serving processes, as far as they are known."""
        found = [int(pid) for pid in re.findall(r"started as pid (\d+)", "".join(self.log))]
        return found if self.count > 1 else [self.process.pid]

    async def listens(self) -> None:
        """Wait until every process accepts connections."""
        await until(self._listening)

    async def _listening(self) -> bool:
        assert self.process.returncode is None, "".join(self.log)
        return self.said("listening on") == self.count

    async def waits_for_sockets(self) -> None:
        """Wait until every process handles SIGTERM: while the running one is stopped, none gets further than to ask."""
        await until(self._handling)

    async def begins(self) -> None:
        """Wait until a process handles SIGTERM: before that the signal simply kills it."""

        async def begun() -> bool:
            return any(map(handles_sigterm, self.pids))

        await until(begun)

    async def _handling(self) -> bool:
        return len(self.pids) == self.count and all(map(handles_sigterm, self.pids))

    async def ended(self) -> int:
        """Its status, once its log is complete."""
        await self._whole.wait()
        return await self.process.wait()


def handles_sigterm(pid: int) -> bool:
    """Whether the process has a handler for SIGTERM (proc(5), SigCgt)."""
    caught = re.search(r"SigCgt:\s*([0-9a-f]+)", Path(f"/proc/{pid}/status").read_text())
    return bool(caught and int(caught[1], 16) & 1 << signal.SIGTERM - 1)


@asynccontextmanager
async def balancers(port: int, node: int, handover: Path, count: int) -> AsyncIterator[Balancers]:
    """Started; ended at the exit whatever it does."""
    process = await asyncio.create_subprocess_exec(
        *("env", f"SNAPSURGE_LB_HANDOVER={handover}", sys.executable, "-m", "lb", f"--listen=127.0.0.1:{port}"),
        *(f"--node=a=127.0.0.1:{node}", "--admin=127.0.0.1:0", "--check=off", f"--processes={count}"),
        cwd=ROOT,
        stderr=asyncio.subprocess.PIPE,
    )
    found = Balancers(process, count)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(found.read())
            try:
                yield found
            finally:
                if process.returncode is None:
                    process.kill()
    finally:
        await process.wait()
        print("".join(found.log), "\n")  # noqa: T201 - pytest shows it when the test fails


class Load:
    """Clients that upload over a new connection each time; `lost` is what went wrong while it was counted."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/x"
        self.answered = 0
        self.lost: list[str] = []
        self.ending = False

    async def client(self) -> None:
        """Upload until the end."""
        while not self.ending:
            try:
                async with aiohttp.ClientSession() as session, session.post(self.url, data=bytes(20000)) as got:
                    assert (await got.json())["length"] == 20000
                self.answered += 1
            except (aiohttp.ClientError, OSError) as error:
                self.lost.append(repr(error))
                await asyncio.sleep(0.01)

    async def more(self) -> None:
        """Wait for more answers."""
        wanted = self.answered + REQUESTS

        async def enough() -> bool:
            return self.answered >= wanted

        await until(enough)


@asynccontextmanager
async def load(port: int) -> AsyncIterator[Load]:
    """Clients at work."""
    made = Load(port)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(CLIENTS):
            tasks.create_task(made.client())
        try:
            yield made
        finally:
            made.ending = True


@pytest.mark.parametrize("count", [1, 2])
async def test_one_that_is_stopped_while_it_waits_for_the_sockets_leaves_them(tmp_path: Path, count: int) -> None:
    """SIGTERM before the running one answers: that one serves on, no request is lost, and a third takes over."""
    port = free_port()
    async with sink() as node, AsyncExitStack() as stack:

        async def start() -> Balancers:
            return await stack.enter_async_context(balancers(port, node.port, tmp_path / "lb", count))

        first = await start()
        await first.listens()
        honest = await stack.enter_async_context(load(port))
        await honest.more()
        for pid in first.pids:
            os.kill(pid, signal.SIGSTOP)
        second = await start()
        await second.waits_for_sockets()
        second.process.terminate()
        for pid in first.pids:
            os.kill(pid, signal.SIGCONT)

        assert (await second.ended(), second.said(LEFT), second.said("listening on")) == (0, count, 0)
        await honest.more()
        assert first.process.returncode is None
        assert first.said("draining") == 0

        third = await start()
        await third.listens()
        assert await first.ended() == 0
        await honest.more()
        assert honest.lost == []


@pytest.mark.parametrize("count", [1, 2])
async def test_whenever_a_new_one_is_stopped_the_port_is_served_unless_it_had_taken_over(
    tmp_path: Path, count: int
) -> None:
    """SIGTERM at many moments of a start: where no process of the new one listened, nothing is lost or stopped."""
    seed = random.randrange(10**6)
    print("seed", seed)  # noqa: T201 - the seed of a failure
    rng, port, left = random.Random(seed), free_port(), 0
    async with sink() as node, AsyncExitStack() as stack:

        async def start() -> Balancers:
            return await stack.enter_async_context(balancers(port, node.port, tmp_path / "lb", count))

        begun = time.monotonic()
        running = await start()
        await running.listens()
        late_s = (time.monotonic() - begun) / 5
        honest = await stack.enter_async_context(load(port))
        for _ in range(ROUNDS):
            await honest.more()
            honest.lost.clear()
            new = await start()
            await new.begins()
            await asyncio.sleep(rng.uniform(0, late_s))
            new.process.terminate()
            await new.ended()
            if new.said("listening on"):
                # It had taken over, or a part of it had: stopped, it leaves nobody behind. Stop the next one sooner.
                late_s /= 2
                if running.process.returncode is None:
                    running.process.kill()
                running = await start()
                await running.listens()
                continue
            left += 1
            await honest.more()
            assert (running.process.returncode, running.said("draining"), honest.lost) == (None, 0, [])
    if not left:
        pytest.skip("every start was faster than the signal")


async def test_a_group_with_fewer_processes_says_what_the_old_group_keeps(tmp_path: Path) -> None:
    """One of three has no successor among two: it serves on, and the new group says so and what to do."""
    port = free_port()
    async with sink() as node, balancers(port, node.port, tmp_path / "lb", 3) as old:
        await old.listens()
        async with balancers(port, node.port, tmp_path / "lb", 2) as new, load(port) as honest:
            await new.listens()
            assert new.said("this group has 2 processes, the running group has more: 1 of its processes")
            await until(partial(old.has_said, "has handed its sockets over", 2))
            assert old.process.returncode is None
            await honest.more()
            assert honest.lost == []
