"""The worker processes of this machine: starts, stops and replaces them to match the desired number.

`Pool.tend` is called every second with the desired number and the time; it never waits. To stop a worker, the pool
sends SIGTERM; the worker finishes its jobs and meanwhile no longer counts. Idle workers are stopped before busy ones,
and in each group the newest first. A worker that dies after `SETTLED_S` is replaced at once. One that dies earlier is
replaced after a delay that doubles each time, so that a worker that cannot start does not become a fork storm. A worker
that gives no pulse for `SILENT_S` is stopped or stuck: it is killed and replaced. Only time in which pulses can be
heard counts, so an outage of Redis kills nobody. `start` makes the processes (`spawned` in production), so that tests
need none.
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

# The working directory of workers: the project's root, because disk paths are import paths.
ROOT = Path(__file__).resolve().parents[2]
# A worker that lived this long had started well, so its death does not delay its replacement.
SETTLED_S = 5.0
RESTART_MIN_S = 0.5
RESTART_MAX_S = 30.0
# Seconds without a pulse. A pulse needs no render slot and no store, and leases end after six such seconds.
SILENT_S = 20.0
# The same for a worker that has given none: it loads libraries, and opens a store that may be starting too.
STARTING_S = 120.0
# The most that one look adds to a silence: where this process stood still itself, pulses were not heard either.
LOOK_S_MAX = 5.0


class Process(Protocol):
    """A child process: the part of asyncio.subprocess.Process that the pool uses."""

    @property
    def pid(self) -> int:
        """The child's process id."""

    @property
    def returncode(self) -> int | None:
        """The exit code; None while the child runs."""

    def terminate(self) -> None:
        """Send SIGTERM; ProcessLookupError when the child has ended."""

    def kill(self) -> None:
        """Send SIGKILL; ProcessLookupError when the child has ended."""

    async def wait(self) -> int:
        """Wait until the child has ended; its exit code."""


Start = Callable[[int], Awaitable[Process]]


class _Worker:
    """A process, its slot, and when it was started."""

    def __init__(self, process: Process, slot: int, since: float) -> None:
        self.process = process
        self.slot = slot
        self.since = since
        self.silent_s = 0.0
        self.heard = False

    def listen(self, pids: Collection[int], elapsed_s: float) -> bool:
        """Note whether a pulse was heard in the last seconds; whether the worker is silent for too long."""
        if self.process.pid in pids:
            self.heard, self.silent_s = True, 0.0
        else:
            self.silent_s += min(elapsed_s, LOOK_S_MAX)
        return self.silent_s > (SILENT_S if self.heard else STARTING_S)


class Pool:
    """The worker processes, oldest first. Times are seconds of any clock that does not go back."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._working: list[_Worker] = []
        self._leaving: list[_Worker] = []
        self._early_deaths = 0
        self._start_not_before = 0.0
        self._looked_at: float | None = None

    @property
    def size(self) -> int:
        """The number of workers that claim jobs, without those that are stopping."""
        return len(self._working)

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that claim jobs, the oldest first."""
        return [worker.process.pid for worker in self._working]

    async def tend(
        self, desired: int, now: float, idle: Collection[int] = (), heard: Collection[int] | None = None
    ) -> None:
        """Remove dead workers, then start or stop workers to reach `desired`.

        `idle` holds process ids, `heard` those of workers with a fresh pulse; None if pulses cannot be heard now.
        """
        self._bury(now)
        self._listen(heard, now)
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
        """Send SIGTERM to all workers, and SIGKILL to those that still run after `grace_s`."""
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

    def _listen(self, heard: Collection[int] | None, now: float) -> None:
        """Kill workers that are silent for too long; the next look finds them dead, and starts others."""
        elapsed_s = 0.0 if heard is None or self._looked_at is None else now - self._looked_at
        self._looked_at = None if heard is None else now
        for worker in self._working + self._leaving:
            if heard is not None and worker.listen(heard, elapsed_s):
                log.error(
                    "worker %d sent no pulse for %.0f s, so it is stopped or stuck: killing it, another one starts",
                    worker.process.pid,
                    worker.silent_s,
                )
                worker.silent_s = 0.0
                with contextlib.suppress(ProcessLookupError):
                    worker.process.kill()

    def _send_home(self, worker: _Worker) -> None:
        self._working.remove(worker)
        with contextlib.suppress(ProcessLookupError):
            worker.process.terminate()
        self._leaving.append(worker)

    def _bury(self, now: float) -> None:
        """Remove ended workers; each early death in a row doubles the delay before the next start."""
        self._leaving = [worker for worker in self._leaving if worker.process.returncode is None]
        ended = [worker for worker in self._working if worker.process.returncode is not None]
        if not ended:
            return
        self._working = [worker for worker in self._working if worker not in ended]
        early = any(now - worker.since < SETTLED_S for worker in ended)
        delay_s = self._delay(now, early=early)
        for worker in ended:
            process = worker.process
            log.warning(
                "worker %d exited with status %s, another starts in %g s", process.pid, process.returncode, delay_s
            )

    def _delay(self, now: float, *, early: bool) -> float:
        """Delay the next start; returns the delay in seconds."""
        self._early_deaths = self._early_deaths + 1 if early else 0
        delay_s = min(RESTART_MIN_S * 2 ** (self._early_deaths - 1), RESTART_MAX_S) if early else 0.0
        self._start_not_before = now + delay_s
        return delay_s


async def spawned(slot: int, *, log: str = "json") -> Process:
    """Start a real worker with our interpreter, environment and form of log lines.

    Its standard input ends when this process ends.

    The worker gets a session of its own. Otherwise a Ctrl-C in the terminal would reach it as a first signal and our
    SIGTERM as a second one, and a second signal ends a worker in the middle of a job.
    """
    command = (sys.executable, "-m", "processors", "--until-eof", "--log", log)
    return await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, env=of_worker(slot), cwd=ROOT, start_new_session=True
    )
