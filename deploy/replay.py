"""Runs `bench replay` against a stack, as a child of ours, and tells what it says.

Bench is a black box here: its lines go through as they come, one of them names the moment, and at the end there is an
exit code and a report. The trace is read only for when its burst is half over.
"""

import asyncio
import gzip
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

from . import leash, servers
from .config import Environment
from .local import LocalStack

TRACE: Final = servers.ROOT / "bench" / "traces" / "demo-2000.jsonl.gz"
MOMENT_WORD: Final = "moment "
END_S: Final = 5.0  # bench has nothing to drain


class ReplayFailed(Exception):
    """Bench did not do its job; the text says what was missing."""


class Arrival(msgspec.Struct, frozen=True):
    """The one column of a trace row that matters here: µs after the moment."""

    t: int


class Percentiles(msgspec.Struct, frozen=True):
    """Milliseconds; None of nothing."""

    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    max: float | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What is used of bench's report; its other fields are ignored."""

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
    cpu_ms_per_pair: dict[str, float | None]
    moment_id: str
    composite_url: str | None = None


def half_s(trace: Path) -> float:
    """Seconds after the moment by which half of the trace's arrivals have come; ReplayFailed when there are none."""
    try:
        with gzip.open(trace, "rb") as lines:
            next(lines)
            arrivals = [msgspec.json.decode(line, type=Arrival).t for line in lines if line.strip()]
    except (OSError, EOFError, StopIteration, msgspec.MsgspecError) as error:
        raise ReplayFailed(f"{trace} is no trace: {error}") from error
    if not arrivals:
        raise ReplayFailed(f"{trace} has no arrivals")
    return sorted(arrivals)[len(arrivals) // 2] / 1e6


def shortened(trace: Path, arrivals: int, path: Path) -> Path:
    """The trace's header and its first arrivals as a trace of its own; ReplayFailed when it cannot be read."""
    try:
        with gzip.open(trace, "rb") as lines, gzip.open(path, "wb") as short:
            short.writelines(islice(lines, 1 + arrivals))
    except (OSError, EOFError) as error:
        raise ReplayFailed(f"{trace} is no trace: {error}") from error
    return path


def read_report(path: Path) -> Report:
    """Bench's report; ReplayFailed when there is none that can be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except (OSError, msgspec.MsgspecError) as error:
        raise ReplayFailed(f"no report of bench in {path}: {error}") from error


class Replay:
    """A running bench; `moment_id` is resolved when bench has named it, or with None when it ended before."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.moment_id: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

    async def follow(self, show: Callable[[str], None]) -> int:
        """Show every line until the end; the exit code."""
        stream = self._process.stdout
        while stream and (line := (await stream.readline()).decode(errors="replace")):
            if line.startswith(MOMENT_WORD) and not self.moment_id.done():
                self.moment_id.set_result(line.split()[1])
            show(line.rstrip("\n"))
        code = await self._process.wait()
        if not self.moment_id.done():
            self.moment_id.set_result(None)
        return code


def command(local: LocalStack, trace: Path, report: Path, after_s: float) -> Iterator[str]:
    """The words of the replay."""
    yield from (sys.executable, "-m", "bench", "replay", str(trace), "--report", str(report))
    yield from ("--stack", str(local.file), "--after", f"{after_s:g}")
    for target in local.targets:
        yield from ("--target", target)


def _make_way(report: Path) -> None:
    """A report of an earlier run must not pass for this one's."""
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)


@asynccontextmanager
async def replaying(
    local: LocalStack,
    trace: Path,
    report: Path,
    settings: Mapping[str, str] = MappingProxyType({}),
    *,
    after_s: float = 0.0,
) -> AsyncIterator[Replay]:
    """Bench, started with settings of its own, watching `after_s` longer than it must; leaving ends it."""
    _make_way(report)
    process = await leash.spawn(
        tuple(command(local, trace, report, after_s)),
        environment={
            **Environment.current(),
            "SNAPSURGE_AUTH_SECRET": local.plan.secret,
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
