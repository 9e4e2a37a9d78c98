"""Keeps programs running: starts them, restarts them with backoff when they end, and drains them in order.

A program has many lives: each start of its process begins a new one, with the same name, command and ports. This file
does not know what programs do; callers of `until` check whether one is ready.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from . import leash

BACKOFF_FIRST_S: Final = 0.2
BACKOFF_MAX_S: Final = 5.0
SETTLED_S: Final = 10.0  # A life this long resets the backoff and the count of quick ends.
INVALID: Final = 2  # The exit code of our programs for invalid options or settings.
QUICK_ENDS_MAX: Final = 3  # In a row; with 0.2 and 0.4 s between them, a lost race for a port cannot explain them.
POLL_S: Final = 0.05
TAIL_BYTES: Final = 2000


class StartFailed(Exception):
    """A program does not start or is not ready in time; the text holds the tail of its log."""


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """A program to run. `drains` is its place in the drain order, lowest first; `nice` lowers its CPU priority.

    A program that `overlaps` is restarted by starting a new process beside the old one; the new process takes over the
    sockets, and the old process then ends by itself.
    """

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    folder: Path
    log: Path
    drains: int = 0
    nice: int = 0
    overlaps: bool = False


class Keeper:
    """Runs one program: starts it, and restarts it when it ends."""

    def __init__(
        self, program: Program, keep: tuple[int, ...], stop_s: float, say: Callable[[str], None], changed: asyncio.Event
    ) -> None:
        self.program = program
        self.pid = 0  # Of the current life; between two lives, of the last one.
        self.lives = 0
        self.quick_ends = 0
        self.refuses = False  # The first life ended because options or settings are invalid.
        self._keep, self._stop_s, self._say, self._changed = keep, stop_s, say, changed
        self._stopping, self._ended, self._renew = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.retiring = 0  # Replaced lives that still drain beside the current one.
        self._alive = False
        self._end = "was never started"  # How the last life ended.
        self._groups: set[int] = set()  # Process groups that may still have a member.
        self._last_word = signal.SIGTERM
        # The file also holds the output of earlier stacks, which would mislead in an error message.
        self._log_from = program.log.stat().st_size if program.log.exists() else 0

    @property
    def alive(self) -> bool:
        """Whether the program runs now, as far as the supervisor has noticed."""
        return self._alive

    @property
    def lived_s(self) -> float:
        """Seconds since the current life began; 0 while the program does not run."""
        return asyncio.get_running_loop().time() - self._began if self._alive else 0.0

    def failed(self, why: str) -> StartFailed:
        """The error for this program, with the tail of its output since the supervisor started."""
        tail = b""
        if self.program.log.exists():
            with self.program.log.open("rb") as log:
                log.seek(max(self._log_from, log.seek(0, os.SEEK_END) - TAIL_BYTES))
                tail = log.read()
        shown = tail.decode(errors="replace").strip() or "(it wrote nothing)"
        why = f"{why}: it {self._end}" if self.quick_ends else why
        return StartFailed(f"{self.program.name} {why}; the end of {self.program.log}:\n{shown}")

    async def run(self, group: asyncio.TaskGroup) -> None:
        """Run one life after another until `stop`; a separate task ends the processes that a life leaves behind."""
        try:
            await self._lives(group)
        finally:
            self._ended.set()

    async def _lives(self, group: asyncio.TaskGroup) -> None:
        loop, pause_s = asyncio.get_running_loop(), BACKOFF_FIRST_S
        while not self._stopping.is_set():
            self._began = loop.time()
            self._end = await self._live(group)
            if self._stopping.is_set():
                await self._clear()
                break
            if self._renew.is_set():
                # This life was replaced on purpose: no backoff, and no count as a quick end.
                self._renew.clear()
                if not self.program.overlaps:  # else `_retire` clears it, after its drain
                    group.create_task(self._clear(), name=f"clear {self.program.name}")
                continue
            settled = loop.time() - self._began >= SETTLED_S
            pause_s = BACKOFF_FIRST_S if settled else pause_s
            self.quick_ends = 1 if settled else self.quick_ends + 1
            group.create_task(self._clear(), name=f"clear {self.program.name}")
            if self.refuses:  # Another life would end the same way.
                await self._stopping.wait()
                break
            self._say(f"{self.program.name} {self._end}; starting it again in {pause_s:.1f} s")
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._stopping.wait()
            pause_s = min(2 * pause_s, BACKOFF_MAX_S)

    def restart(self) -> None:
        """Begin a new life: beside the current one when the program overlaps, else after the current one drained."""
        self._renew.set()
        if not self.program.overlaps:
            self.signal(signal.SIGTERM)

    async def _retire(self, ending: "asyncio.Task[int]") -> None:
        """Let a replaced life drain; after `stop_s`, end its processes."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._stop_s):
                await asyncio.shield(ending)
        await self._clear()
        self.retiring -= 1

    async def stop(self) -> None:
        """Send SIGTERM, and after `stop_s` SIGKILL to all processes that are left; no restart."""
        self._stopping.set()
        if self._alive:
            self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self._stop_s):
                await self._ended.wait()
        except TimeoutError:
            self._say(f"{self.program.name} did not drain in {self._stop_s:.0f} s; killing it")
            self.kill()
            await self._ended.wait()

    def signal(self, signum: int) -> None:
        """Signal the program itself, not its children."""
        with suppress(ProcessLookupError):
            if self._alive:
                self._process.send_signal(signum)

    def kill(self) -> None:
        """Send SIGKILL to the program and to all its children; no restart."""
        self._stopping.set()
        self._last_word = signal.SIGKILL
        for leader in self._groups:
            leash.signal_group(leader, signal.SIGKILL)

    async def _clear(self) -> None:
        """End the processes that earlier lives have left behind."""
        # The group of the current life is no leftover.
        current = {self.pid} if self._alive else set()
        for leader in self._groups - current:
            await leash.clear_group(leader, self._stop_s)
            self._groups.discard(leader)

    async def _live(self, group: asyncio.TaskGroup) -> str:
        """Run one life; a text that says how it ended, or that it is being replaced."""
        program = self.program
        try:
            with program.log.open("ab") as log:
                self._process = await leash.spawn(
                    program.command,
                    environment=program.environment,
                    folder=program.folder,
                    output=log,
                    nice=program.nice,
                    keep=self._keep,
                )
        except OSError as error:
            return f"cannot be started ({error})"
        self.pid, self._alive, self.lives = self._process.pid, True, self.lives + 1
        self._groups.add(self.pid)
        self._changed.set()
        if self._stopping.is_set():  # `stop` was called during the start.
            self.signal(self._last_word)
        ending = group.create_task(self._process.wait(), name=f"end of {program.name}")
        if program.overlaps:
            renewal = group.create_task(self._renew.wait(), name=f"renewal of {program.name}")
            await asyncio.wait({ending, renewal}, return_when=asyncio.FIRST_COMPLETED)
            renewal.cancel()
            if not ending.done():
                self.retiring += 1
                group.create_task(self._retire(ending), name=f"retire {program.name}")
                return f"(pid {self.pid}) is being replaced"
        code = await ending
        self._alive = False
        # Of the first life alone: settings that a program has once run with are valid.
        self.refuses = code == INVALID and self.lives == 1
        return f"(pid {self.pid}) was killed by signal {-code}" if code < 0 else f"(pid {self.pid}) ended with {code}"


class Supervisor:
    """Runs all programs of a stack; exit drains them. Every program inherits the descriptors `keep`.

    `changed` is set whenever a life begins; the task that waits for it clears it.
    """

    def __init__(self, *, stop_s: float, keep: tuple[int, ...] = (), say: Callable[[str], None]) -> None:
        self.keepers: dict[str, Keeper] = {}
        self.changed = asyncio.Event()
        self.draining = self.killed = False
        self._companions: list[asyncio.Task[None]] = []
        self._stop_s, self._keep, self._say = stop_s, keep, say
        self._group = asyncio.TaskGroup()

    def start(self, program: Program) -> Keeper:
        """Start this program and keep it running until the drain."""
        keeper = self.keepers[program.name] = Keeper(program, self._keep, self._stop_s, self._say, self.changed)
        self._group.create_task(keeper.run(self._group), name=f"keep {program.name}")
        return keeper

    def accompany(self, work: Coroutine[None, None, None], name: str) -> None:
        """Run this work as a task beside the programs, and cancel it when the last program has ended."""
        self._companions.append(self._group.create_task(work, name=name))

    async def until(self, name: str, check: Callable[[], Awaitable[bool]], deadline: float) -> None:
        """Wait until `check` returns True; StartFailed at `deadline` (loop time) or when any program cannot start."""
        while not await check():
            for keeper in self.keepers.values():
                # Only while somebody waits for the start: afterwards a program that ends is restarted without limit.
                if keeper.refuses or keeper.quick_ends >= QUICK_ENDS_MAX:
                    raise keeper.failed("does not start")
            if asyncio.get_running_loop().time() >= deadline:
                raise self.keepers[name].failed("is not ready in time")
            await asyncio.sleep(POLL_S)

    async def drain(self) -> None:
        """Stop every program, one place of the drain order after the other."""
        self.draining = True
        for place in sorted({keeper.program.drains for keeper in self.keepers.values()}):
            async with asyncio.TaskGroup() as stops:
                for keeper in self.keepers.values():
                    if keeper.program.drains == place:
                        stops.create_task(keeper.stop(), name=f"stop {keeper.program.name}")

    def kill(self) -> None:
        """Send SIGKILL to all programs and their children."""
        self.killed = True
        for keeper in self.keepers.values():
            keeper.kill()

    async def __aenter__(self) -> Self:
        leash.adopt_orphans()
        leash.allow_files()
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.drain()
        # The drain itself failed or was cancelled; no child may be left.
        except BaseException:
            self.kill()
            raise
        finally:
            # Only now: `stack.json` and the log files are kept in order until the last program has ended.
            for companion in self._companions:
                companion.cancel()
            # Do not pass the error on, so that the caller gets it as it is and not in an exception group.
            await self._group.__aexit__(None, None, None)
