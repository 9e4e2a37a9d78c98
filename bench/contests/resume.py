"""`python -m bench.contests.resume`: what resumable uploads save, and what they cost where nothing breaks.

Three bursts, each sent open loop to our node by phones that resume, by phones that start over, and to tusd by phones of
its own protocol, on one MinIO:

- *alike*: pairs of one size over uplinks of one speed, a fifth of which break once, anywhere, without a pause. Here the
  slowest uploads are those that broke, so that the 99th percentile tells what a break costs.
- *mixed*: sizes and uplinks as `bench synth` makes them, broken the same way. Here slow phones decide the percentile.
- *subway*: the model of that network in `bench/traces/networks.py`: several breaks, with pauses of 5 to 30 s. A model:
  nobody has published the share of mobile uploads that fail.

Then whole pairs, closed loop: the CPU of a pair whose phone announces resumable uploads, and of one that does not;
with --before DIR beside the node of another checkout, in turn.
"""

import asyncio
import contextlib
import itertools
import random
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import uvloop

from .. import command, resuming
from ..errors import BenchError
from ..peers import backing, meter, started, tusd
from ..photos import Gallery
from ..rows import OURS, Row, against, judged
from ..traces.columns import DTYPES, Columns
from ..traces.networks import NETWORKS, Network, through
from ..traces.synthesis import UPLINKS, Shape, Uplink, columns, hexadecimal
from . import breaking
from .breaking import Burst, Seen
from .node import PAIRS, Contender, Pair, Request, moment_path, node_command, phones_of, post, upload

SENT_MAX: Final = 1.03
P99_MAX: Final = 0.6
CPU_MAX: Final = 1.02
SEED: Final = 16
ONCE: Final = Network(uplinks=UPLINKS, rtt_ms=(0.1,) * 6, lossy=0, loss=1, broken=0.2, pause_s=(0.0,) * 6, breaks_max=1)
SLOW: Final = 62_500  # bytes/s, 0.5 Mbit/s
OVER: Final = "starting over"
BEFORE: Final = "before"
ANNOUNCED: Final = "announced"
SILENT: Final = "not announced"
Contenders = Mapping[str, tuple[breaking.Running, breaking.Phone]]
CONTENDERS: Final[Contenders] = {
    OURS: (breaking.node, breaking.resuming),
    OVER: (breaking.node, breaking.starting_over),
    "tusd": (breaking.tus_server, breaking.tus),
}


class Effort(msgspec.Struct, frozen=True, kw_only=True):
    """The size of the bench: posters and seconds of a burst, bytes of a photo, rounds and pairs of a round for CPU."""

    posters: int
    window_s: int
    photo_bytes: int
    riders: int
    ride: Network
    rounds: int
    pairs: int


FULL: Final = Effort(
    posters=500, window_s=25, photo_bytes=180_000, riders=150, ride=NETWORKS["subway"], rounds=9, pairs=250
)
QUICK: Final = Effort(
    posters=100,
    window_s=5,
    photo_bytes=60_000,
    riders=20,
    ride=msgspec.structs.replace(NETWORKS["subway"], breaks_max=1, pause_s=(5.0,) * 6),
    rounds=2,
    pairs=50,
)


def alike(effort: Effort) -> Burst:
    """Pairs of one size over uplinks of one speed, evenly over the window."""
    count = effort.posters
    t = (np.arange(count) * (effort.window_s * 1e6 / count)).astype(DTYPES["t"])
    sizes = np.full(count, effort.photo_bytes, DTYPES["f"])
    users = hexadecimal(np.arange(count, dtype=np.uint64))
    found = Columns.first(t, users, sizes, sizes, np.full(count, SLOW, DTYPES["up"]))
    return Burst.of(through(found, ONCE, np.random.default_rng(SEED)), effort.window_s)


def drawn(effort: Effort, posters: int, uplinks: tuple[Uplink, ...], network: Network) -> Burst:
    """Pairs of several sizes over several uplinks."""
    shape = Shape(
        posters=posters,
        uplinks=uplinks,
        photo_bytes=effort.photo_bytes,
        median_s=effort.window_s / 3,
        capture_s=0,
        fanout_s=0,
        span_s=effort.window_s,
    )
    found = columns(shape, random.Random(SEED))
    return Burst.of(through(found, network, np.random.default_rng(SEED)), effort.window_s)


def at_hand() -> Contenders:
    """The contenders, without tusd where it cannot be had."""
    try:
        tusd.program()
    except started.StartError as error:
        print(f"bench: without tusd: {error}", file=sys.stderr)
        return {who: how for who, how in CONTENDERS.items() if who != "tusd"}
    return CONTENDERS


async def burst_rows(behind: backing.Backing, effort: Effort, field: Contenders, tell: command.Tell) -> None:
    """The rows of all bursts."""
    one_by_one = {"alike": alike(effort), "mixed": drawn(effort, effort.posters, UPLINKS, ONCE)}
    for name, burst in one_by_one.items():
        # One after the other: they share a MinIO and two cores.
        found = {who: await breaking.met(burst, *how, behind) for who, how in field.items()}
        for row in rows_of(name, found, aims=name == "alike"):
            tell(row)
    ride = drawn(effort, effort.riders, NETWORKS["subway"].uplinks, effort.ride)
    async with asyncio.TaskGroup() as group:  # nearly all of it is waiting
        rides = {
            who: group.create_task(breaking.met(ride, *how, behind, counts=False), name=who)
            for who, how in field.items()
        }
    # Without the last two rows, because the rides run at the same time on one store.
    for row in rows_of("subway, a model", {who: task.result() for who, task in rides.items()}, aims=False)[:-2]:
        tell(row)


def rows_of(name: str, found: Mapping[str, Seen], *, aims: bool) -> list[Row]:
    """The rows of one burst; the aims are for the burst in which all pairs are alike."""
    ours, over = found[OURS], found[OVER]
    if ours.lost or over.lost:
        raise BenchError(f"{name}: our node did not store {ours.lost + over.lost} pairs")

    def values(field: str) -> dict[str, float]:
        every = {who: getattr(seen, field) for who, seen in found.items()}
        return {who: value for who, value in every.items() if value is not None}

    return [
        judged(f"{name}: not stored after all tries", "pairs", values("lost")),
        judged(
            f"{name}: bytes sent (ratio to the least)",
            "of the least",
            values("sent_ratio"),
            ratio=ours.sent_ratio,
            at_most=SENT_MAX if aims else None,
        ),
        judged(f"{name}: time to 201, p50", "ms", values("p50_ms"), ratio=ours.p50_ms / over.p50_ms),
        judged(
            f"{name}: time to 201, p99 (ratio to {OVER})",
            "ms",
            values("p99_ms"),
            ratio=ours.p99_ms / over.p99_ms,
            at_most=P99_MAX if aims else None,
        ),
        judged(f"{name}: on time", "share", values("on_time")),
        judged(f"{name}: memory at the peak", "MB over idle", values("memory_mb")),
        judged(f"{name}: store requests", "per pair", values("store_requests")),
    ]


def announced(path: str) -> Callable[[str, Pair], list[Request]]:
    """Makes the one request of a pair that announces resumable uploads, as our client does."""
    plain = upload(path)

    def requests(user: str, pair: Pair) -> list[Request]:
        ((head, body),) = plain(user, pair)
        # Before the empty line that ends the head.
        return [[head[:-2] + resuming.creating(body).encode() + b"\r\n", body]]

    return requests


async def cpu_rows(behind: backing.Backing, effort: Effort, before: Path | None) -> list[Row]:
    """What a whole pair costs in the node: announced or not, and in the node of another checkout."""
    gallery, size = Gallery(1, effort.photo_bytes), effort.photo_bytes
    pairs = [(gallery.photo(str(n), "front", size), gallery.photo(str(n), "back", size)) for n in range(PAIRS)]
    readings: dict[str, list[float]] = defaultdict(list)
    users = itertools.count()
    with contextlib.ExitStack() as stack:
        ports = [started.free_port() for _ in range(2 if before else 1)]
        commands = [[*where, *node_command(port, behind)] for where, port in zip(checkouts(before), ports, strict=True)]
        pids = [stack.enter_context(started.process(*one)).pid for one in zip(commands, ports, strict=True)]
        paths = [moment_path(port) for port in ports]
        field = {
            OURS: Contender(pids[0], ports[0], upload(paths[0])),
            ANNOUNCED: Contender(pids[0], ports[0], announced(paths[0])),
        }
        if before:
            field[BEFORE] = Contender(pids[1], ports[1], upload(paths[1]))
        turn = list(field.items())
        for number in range(-1, effort.rounds):  # the first is a warm-up
            for name, contender in turn[number % len(turn) :] + turn[: number % len(turn)]:
                async with phones_of(contender) as phones:
                    spent = meter.cpu_ms(contender.pid)
                    await post(contender.requests, phones, users, pairs, effort.pairs)
                    if number >= 0:
                        readings[name].append((meter.cpu_ms(contender.pid) - spent) / effort.pairs)
    return rows_of_cpu(readings)


def checkouts(before: Path | None) -> list[list[str]]:
    """The words before the command of each node: ours runs in this checkout."""
    return [[], ["env", "-C", str(before)]] if before else [[]]


def rows_of_cpu(readings: Mapping[str, Sequence[float]]) -> list[Row]:
    """A whole pair beside the node of another checkout, if there is one; an announced pair beside one that is not."""
    unit, plain, told = "CPU ms per pair", readings[OURS], readings[ANNOUNCED]
    known = {OURS: plain} | {name: found for name, found in readings.items() if name == BEFORE}
    return [
        against(f"whole pair, not announced: node (ratio to {BEFORE})", unit, known, rival=BEFORE, at_most=CPU_MAX),
        against(f"whole pair, announced: node (ratio to {SILENT})", unit, {OURS: told, SILENT: plain}, rival=SILENT),
    ]


async def measure(
    behind: backing.Backing, effort: Effort, field: Contenders, before: Path | None, tell: command.Tell
) -> None:
    """Measure every row and tell each as soon as it is known."""
    await tusd.make_bucket(behind.s3)
    for row in await cpu_rows(behind, effort, before):
        tell(row)
    await burst_rows(behind, effort, field, tell)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; return the exit code."""
    parser = command.Parser(prog="python -m bench.contests.resume", description=__doc__, allow_abbrev=False)
    command.options(parser, "resume.json")
    parser.add_argument("--before", metavar="DIR", type=Path, help="a checkout whose node is measured beside this one")
    given = parser.parse_args(arguments)
    effort = QUICK if given.quick else FULL

    def told(tell: command.Tell) -> None:
        field = at_hand()
        with tempfile.TemporaryDirectory(prefix="bench-resume-") as folder, backing.backing(Path(folder)) as behind:
            uvloop.run(measure(behind, effort, field, given.before, tell))

    return command.run(given.out, told, posters=effort.posters, window_s=effort.window_s, rounds=effort.rounds)


if __name__ == "__main__":
    sys.exit(main())
