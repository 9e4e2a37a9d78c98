"""Runs `bench replay` against a stack as a child process, and passes on its output.

Bench is a black box here: its lines are shown as they come, one of them names the moment, and at the end it leaves an
exit code and a report.
"""

import asyncio
import gzip
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

from . import leash, servers
from .config import Environment
from .local import LocalStack

TRACE: Final = servers.ROOT / "bench" / "traces" / "demo-2000.jsonl.gz"
MOMENT_WORD: Final = "moment "
END_S: Final = 5.0  # Short: bench would check what was sent, for which nobody waits here.


class ReplayFailed(Exception):
    """The trace or bench's report is missing or unreadable; the text says which."""


class Arrival(msgspec.Struct, frozen=True):
    """The field of a trace row that is used here: `t`, microseconds after the moment."""

    t: int


class Percentiles(msgspec.Struct, frozen=True):
    """Percentiles in milliseconds; None when nothing was measured."""

    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    max: float | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of bench's report that are used here; the others are ignored."""

    offered: int
    accepted: int
    ready: int
    rejected: int
    lost: int
    half: int
    doubled: int
    wrongly_late: int
    latency_ms: Percentiles
    ready_ms: Percentiles
    lag_ms: Percentiles
    moment_id: str
    composite_url: str | None = None


def half_s(trace: Path) -> float:
    """Seconds after the moment at which half of the trace's arrivals have come; ReplayFailed without arrivals."""
    try:
        with gzip.open(trace, "rb") as lines:
            # The first line describes the trace.
            next(lines)
            arrivals = [msgspec.json.decode(line, type=Arrival).t for line in lines if line.strip()]
    except (OSError, EOFError, StopIteration, msgspec.MsgspecError) as error:
        raise ReplayFailed(f"{trace} is no trace: {error}") from error
    if not arrivals:
        raise ReplayFailed(f"{trace} has no arrivals")
    # The trace is read for this alone: the time at which half of its burst has arrived.
    return sorted(arrivals)[len(arrivals) // 2] / 1e6


def read_report(path: Path) -> Report:
    """Read bench's report; ReplayFailed when it is missing or unreadable."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except (OSError, msgspec.MsgspecError) as error:
        raise ReplayFailed(f"no report of bench in {path}: {error}") from error


class Replay:
    """A running bench; `moment_id` resolves when bench names the moment, or to None when bench ends before that."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.moment_id: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

    async def follow(self, show: Callable[[str], None]) -> int:
        """Show every line of bench until it ends; its exit code."""
        stream = self._process.stdout
        while stream and (line := (await stream.readline()).decode(errors="replace")):
            if line.startswith(MOMENT_WORD) and not self.moment_id.done():
                self.moment_id.set_result(line.split()[1])
            show(line.rstrip("\n"))
        code = await self._process.wait()
        # Bench has ended: nobody shall wait for a moment that does not come.
        if not self.moment_id.done():
            self.moment_id.set_result(None)
        return code


def command(local: LocalStack, trace: Path, report: Path) -> Iterator[str]:
    """The command line of the replay."""
    yield from (sys.executable, "-m", "bench", "replay", str(trace), "--report", str(report))
    yield from ("--stack", str(local.file))
    for target in local.targets:
        yield from ("--target", target)


def _make_way(report: Path) -> None:
    """Delete the report of an earlier run, so that it is not mistaken for this run's."""
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)


@asynccontextmanager
async def replaying(
    local: LocalStack, trace: Path, report: Path, settings: Mapping[str, str] = MappingProxyType({})
) -> AsyncIterator[Replay]:
    """Start bench with `settings` over the environment, and end it on exit."""
    _make_way(report)
    process = await leash.spawn(
        tuple(command(local, trace, report)),
        environment={
            **Environment.current(),
            "SNAPSURGE_AUTH_SECRET": local.plan.secret,
            # The line that names the moment must come when it is written, because the kill follows from it.
            "PYTHONUNBUFFERED": "1",
            **settings,
        },
        folder=servers.ROOT,
        output=asyncio.subprocess.PIPE,
    )
    try:
        yield Replay(process)
    finally:
        if process.returncode is None:
            leash.signal_group(process.pid, signal.SIGTERM)
            try:
                async with asyncio.timeout(END_S):
                    await process.wait()
            except TimeoutError:
                leash.signal_group(process.pid, signal.SIGKILL)
                await process.wait()
