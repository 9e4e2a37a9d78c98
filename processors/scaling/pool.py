"""The worker processes of this machine: as many as desired, the dead ones replaced, the idle ones sent home first.

`Pool.tend` is called every second with a number and the time; it starts, stops and replaces, and never waits. A worker
sent home gets SIGTERM and finishes what runs, so it counts no longer but is still here. Of the idle ones, and then of
the busy ones, the newest goes first. One that dies on its own is
replaced at once when it had worked for a while, else after a delay that doubles: a worker that cannot start must not
become a fork storm. Processes come from `start`, so that a test needs none; `spawned` starts the real ones.
"""

import asyncio
import contextlib
import logging
import sys
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Protocol

from ..config import of_worker

log = logging.getLogger("snapsurge.processors.pool")

# Programs of ours run from the project's root: disk path = import path.
ROOT = Path(__file__).resolve().parents[2]
# A worker that lived this long had started well: its death says nothing about the next one's start.
SETTLED_S = 5.0
RESTART_MIN_S = 0.5
RESTART_MAX_S = 30.0


class Process(Protocol):
    """A running child, as asyncio.subprocess.Process has it."""

    @property
    def pid(self) -> int:
        """Its process id."""

    @property
    def returncode(self) -> int | None:
        """None while it runs."""

    def terminate(self) -> None:
        """Send SIGTERM; ProcessLookupError when it is gone."""

    def kill(self) -> None:
        """Send SIGKILL; ProcessLookupError when it is gone."""

    async def wait(self) -> int:
        """Its exit code, once it ended."""


Start = Callable[[int], Awaitable[Process]]


class _Worker:
    """A process, its slot, and when it was started."""

    def __init__(self, process: Process, slot: int, since: float) -> None:
        self.process = process
        self.slot = slot
        self.since = since


class Pool:
    """Worker processes by slot, the oldest first. Times are seconds of any clock that does not go back."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._working: list[_Worker] = []
        self._leaving: list[_Worker] = []
        self._early_deaths = 0
        self._start_not_before = 0.0

    @property
    def size(self) -> int:
        """Workers that claim jobs."""
        return len(self._working)

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that claim jobs, the oldest first."""
        return [worker.process.pid for worker in self._working]

    async def tend(self, desired: int, now: float, idle: Collection[int] = ()) -> None:
        """Replace the dead, then start or send home until there are as many as desired; `idle` are process ids."""
        self._bury(now)
        by_worth = sorted(self._working, key=lambda worker: worker.process.pid in idle)
        for worker in by_worth[desired:][::-1]:
            self._send_home(worker)
        while len(self._working) < desired and now >= self._start_not_before:
            taken = {worker.slot for worker in self._working + self._leaving}
            slot = next(slot for slot in range(len(taken) + 1) if slot not in taken)
            try:
                self._working.append(_Worker(await self._start(slot), slot, now))
            except OSError as error:
                log.error("no worker could be started: %s", error)  # noqa: TRY400 - the machine's reason, not our stack
                self._delay(now, early=True)

    async def close(self, grace_s: float) -> None:
        """SIGTERM to all; SIGKILL to those that are here after the grace."""
        for worker in self._working[::-1]:
            self._send_home(worker)
        leaving = self._leaving
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                for worker in leaving:
                    await worker.process.wait()
        for worker in leaving:
            if worker.process.returncode is None:
                log.error("worker %d did not finish within %g s: killed", worker.process.pid, grace_s)
                with contextlib.suppress(ProcessLookupError):
                    worker.process.kill()
                await worker.process.wait()
        leaving.clear()

    def _send_home(self, worker: _Worker) -> None:
        self._working.remove(worker)
        with contextlib.suppress(ProcessLookupError):
            worker.process.terminate()
        self._leaving.append(worker)

    def _bury(self, now: float) -> None:
        """Take out who ended; who ended unasked delays the next start, the longer the more often it happened."""
        self._leaving = [worker for worker in self._leaving if worker.process.returncode is None]
        ended = [worker for worker in self._working if worker.process.returncode is not None]
        if not ended:
            return
        self._working = [worker for worker in self._working if worker not in ended]
        early = any(now - worker.since < SETTLED_S for worker in ended)
        delay_s = self._delay(now, early=early)
        for worker in ended:
            process = worker.process
            log.warning("worker %d ended with %s, replaced in %g s", process.pid, process.returncode, delay_s)

    def _delay(self, now: float, *, early: bool) -> float:
        """Put off the next start, and say by how many seconds."""
        self._early_deaths = self._early_deaths + 1 if early else 0
        delay_s = min(RESTART_MIN_S * 2 ** (self._early_deaths - 1), RESTART_MAX_S) if early else 0.0
        self._start_not_before = now + delay_s
        return delay_s


async def spawned(slot: int) -> Process:
    """A real worker: this interpreter, our environment, a standard input that ends when we do.

    In a session of its own, because a terminal's Ctrl-C goes to the whole group: it would be the worker's first signal
    and our SIGTERM its second, which ends it in the middle of a job.
    """
    command = (sys.executable, "-m", "processors", "--until-eof")
    return await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, env=of_worker(slot), cwd=ROOT, start_new_session=True
    )
