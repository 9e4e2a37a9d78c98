"""`python -m bench.contests.watch`: what the live view (`deploy watch`, one page open) costs the stack in a burst.

A stack of three nodes and two balancers gets a burst twice, alone and watched; then, at rest, every program's
`/metrics` is read once a second, in turns with nothing. The cost of watching a burst is that of a round, times the
rounds: two bursts differ by more than the hundredth that is looked for. A burst lasts as long as its trace, or as its
CPU takes on all cores: a busy machine stretches a replay, but neither of these. CPU is the scheduler's count of the
whole stack, Redis and supervisor included (`peers/meter.py`). Prints a table and writes bench/results/watch.json.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from .. import command
from ..costing.interval import Spent, measured
from ..errors import BenchError
from ..peers import deployed, started
from ..rows import OURS, Row, judged, limited
from ..traces import trace

# Between two rounds around a moment, as `deploy watch` documents it.
ROUND_S: Final = 3.0
PERCENT_MAX: Final = 1.0
# Programs keep a page for a second: read more often, it would cost less than it costs `watch`.
READ_S: Final = 1.1
HEADERS: Final = {"Accept": "text/plain; version=0.0.4", "Accept-Encoding": "identity"}
STACK: Final = ("--nodes", "3", "--balancers", "2")


class Effort(msgspec.Struct, frozen=True):
    """A bundled trace or options of `bench synth`; then so many turns of so many rounds of reading, and of none."""

    synth: str | None
    turns: int
    rounds: int


# Many short turns: a sweep, or an account that is written, falls into few of them, and the median leaves these out.
FULL: Final = Effort(None, 30, 2)
QUICK: Final = Effort("--posters 500 --span-s 30 --median-s 6 --capture-s 2 --fanout-s 20 --window-s 30", 15, 2)


class Burst(msgspec.Struct, frozen=True):
    """CPU milliseconds of the stack in a replay, and of `watch` meanwhile (0 without); its seconds and its pairs."""

    seconds: float
    stack_ms: float
    watch_ms: float
    pairs: int


def rows_of(alone: Burst, watched: Burst, round_ms: float, *, span_s: float, cores: int) -> list[Row]:
    """The table: what a round costs, its share of a burst's CPU, and both bursts side by side."""
    # As long as the trace, or as its CPU takes on all cores: a busy machine stretches a replay, but neither of these.
    lasts_s = max(span_s, alone.stack_ms / 1000 / cores)
    # The cost of a round times the rounds: two bursts differ by more than the hundredth that is looked for.
    share = lasts_s / ROUND_S * round_ms / alone.stack_ms
    means = {OURS: watched.stack_ms / watched.pairs, "not watched": alone.stack_ms / alone.pairs}
    return [
        judged("one round: every program's page", "ms CPU of the stack", round_ms),
        limited("a round every 3 s in a burst", "% of the stack's CPU", share * 100, limit=PERCENT_MAX),
        judged("the stack, watched", "ms CPU per pair", means, ratio=means[OURS] / means["not watched"]),
        judged("the stack, not watched, in the burst", "cores", alone.stack_ms / 1000 / lasts_s),
        judged("watch itself, one page open", "ms CPU a second", watched.watch_ms / watched.seconds),
    ]


def round_cost(read: Sequence[Spent], idle: Sequence[Spent], rounds: int) -> float:
    """Milliseconds of a round: the median, over the turns, of what reading added. BenchError when it added nothing."""
    added = [
        # What the stack spends at rest in the same time does not count.
        one.cpu_ms["stack"] - other.cpu_ms["stack"] * one.seconds / other.seconds
        for one, other in zip(read, idle, strict=True)
    ]
    cost = statistics.median(added) / rounds
    if cost <= 0:
        raise BenchError(f"the stack used no more CPU while it was read ({added} ms): the machine is too busy")
    return cost


async def burst(file: Path, burst_file: Path, folder: Path, *, watch: bool) -> Burst:
    """Replay the burst, watched or not. BenchError when the replay did not pass (one that lagged counts)."""
    # The meter counts its descendants with it.
    pids = {"stack": deployed.read(file).supervisor.pid}
    report = folder / f"report-{watch}.json"
    async with watching(file) if watch else _nobody() as pid:
        if pid is not None:
            pids["watch"] = pid
        spent, _ = await measured(pids, lambda: _replay(file, burst_file, report))
    accepted = msgspec.json.decode(report.read_bytes(), type=_Report).accepted
    return Burst(spent.seconds, spent.cpu_ms["stack"], spent.cpu_ms.get("watch", 0.0), accepted)


class _Report(msgspec.Struct, frozen=True):
    accepted: int


async def _replay(file: Path, burst_file: Path, report: Path) -> None:
    targets = [word for one in deployed.read(file).balancers for word in ("--target", one.url)]
    await bench("replay", str(burst_file), *targets, "--stack", str(file), "--report", str(report), may_be=(0, 3))


async def bench(*words: str, may_be: tuple[int, ...] = (0,)) -> None:
    """Run a verb of bench; BenchError with another exit code."""
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench", *words), cwd=started.ROOT, stdout=asyncio.subprocess.DEVNULL
    )
    if (code := await running.wait()) not in may_be:
        raise BenchError(f"bench {' '.join(words)}: exit {code}")


@asynccontextmanager
async def _nobody() -> AsyncIterator[int | None]:
    yield None


@asynccontextmanager
async def watching(file: Path) -> AsyncIterator[int | None]:
    """Run `deploy watch` with one open page until the block ends; its pid. BenchError when the page ended before."""
    port = started.free_port()
    words = ("-m", "deploy", "watch", "--stack", str(file), "--listen", f"127.0.0.1:{port}")
    with started.process([sys.executable, *words], port) as process:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session,
            session.get(f"http://127.0.0.1:{port}/events") as page,
            asyncio.TaskGroup() as group,
        ):
            reader = group.create_task(page.content.read(-1), name="page")
            yield process.pid
            # A page that was disconnected cost nothing for the rest of the burst.
            if reader.done():
                raise BenchError("the page was disconnected while it was watched")
            reader.cancel()


async def rest(file: Path, effort: Effort) -> float:
    """Milliseconds of CPU that one round costs the stack, by turns of reading and of nothing."""
    record, read, idle = deployed.read(file), [], []
    pids = {"stack": record.supervisor.pid}
    if not record.metrics:
        raise BenchError(f"{file} lists no /metrics")
    async with aiohttp.ClientSession(headers=HEADERS, auto_decompress=False) as session:

        async def reading() -> None:
            for _ in range(effort.rounds):
                due = time.monotonic() + READ_S
                await asyncio.gather(*(_page(session, one.url) for one in record.metrics))
                await asyncio.sleep(due - time.monotonic())

        for _ in range(effort.turns):
            idle.append((await measured(pids, lambda: asyncio.sleep(effort.rounds * READ_S)))[0])
            read.append((await measured(pids, reading))[0])
    return round_cost(read, idle, effort.rounds)


async def _page(session: aiohttp.ClientSession, url: str) -> None:
    async with session.get(url) as answer:
        if answer.status != 200 or not await answer.read():
            raise BenchError(f"{url} answered {answer.status}")


async def measure(effort: Effort, folder: Path, tell: command.Tell) -> None:
    """Both bursts, then the rounds at rest, on one stack; tells the rows."""
    burst_file = started.ROOT / "bench" / "traces" / "demo-2000.jsonl.gz"
    if effort.synth is not None:
        burst_file = folder / "burst.jsonl.gz"
        await bench("synth", *effort.synth.split(), str(burst_file))
    async with deployed.deployed(folder / "state", *STACK) as file:
        alone = await burst(file, burst_file, folder, watch=False)
        watched = await burst(file, burst_file, folder, watch=True)
        round_ms = await rest(file, effort)
    for row in rows_of(alone, watched, round_ms, span_s=trace.read(burst_file).span_s, cores=os.cpu_count() or 1):
        tell(row)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; return the exit code."""
    given = command.given("contests.watch", __doc__, "watch.json", arguments)
    effort = QUICK if given.quick else FULL

    def told(tell: command.Tell) -> None:
        with tempfile.TemporaryDirectory(prefix="bench-watch-") as folder:
            asyncio.run(measure(effort, Path(folder), tell))

    return command.run(given.out, told)


if __name__ == "__main__":
    sys.exit(main())
