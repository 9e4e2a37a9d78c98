"""Runs all steps on one kind of store, and gathers the readings by what they are of."""

import asyncio
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from redis import Redis

from ..capacity.costs import Media
from ..peers import meter
from ..peers.phone import PhoneError
from ..rows import machine
from . import phones, steps
from .interval import Spent
from .phones import Sent
from .stack import Counted, Stack, running
from .steps import Alone, Drained, Held

Points = dict[str, list[tuple[float, float]]]  # by tier: bytes of a pair or picture, CPU ms of one
Say = Callable[[str], None]


class Effort(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured: pairs of each photo size, rounds of them, pairs that are rendered, and so on.

    `drained`: the mean photo sizes of the pairs that are rendered for the worker's cost.
    """

    pairs: Mapping[int, int]
    drained: Sequence[int]
    rounds: int
    rendered: int
    alone: int
    views: int
    in_flight: int
    idle_s: float


# Sizes from small to large for one photo: what phones send lies between.
FULL: Final = Effort(
    pairs={60_000: 300, 200_000: 200, 700_000: 100},
    drained=(60_000, 85_000, 110_000, 200_000, 400_000, 700_000),
    rounds=3,
    rendered=60,
    alone=60,
    views=120,
    in_flight=500,
    idle_s=10.0,
)
QUICK: Final = Effort(
    pairs={60_000: 60, 400_000: 40},
    drained=(60_000, 200_000, 400_000),
    rounds=1,
    rendered=24,
    alone=20,
    views=40,
    in_flight=200,
    idle_s=3.0,
)
PROGRAMS: Final = 4  # that send pulses to Redis or poll it: two balancers, a node, a worker
WARM: Final = 24
FEW: Final = 8  # phones at once where the upload is not what is measured, and the least on a busy machine
USUAL: Final = 1  # the size of memory, lone uploads and requests: the second one


class Readings(msgspec.Struct, kw_only=True):
    """All readings of one kind of store."""

    upload: Points
    drain: Points
    read: Points
    idle_cores: dict[str, float]
    start_s: dict[str, list[float]]
    process_kib: dict[str, int]
    gaps_s: list[float]
    media: list[Media]
    redis_pair_kib: float
    heartbeat_cores: float  # of Redis, for each program
    alone: Alone
    held: Held
    crowd: float = 1.0  # how much dearer a pair is in a worker while each core has one: they share caches and memory
    requests: Counted | None = None  # of MinIO, for each pair of the usual size
    pair_bytes: float = 0.0  # of the pairs that those requests were for


async def measure(kind: str, effort: Effort, say: Say) -> Readings:
    """All steps on a fresh stack."""
    with tempfile.TemporaryDirectory(prefix="bench-costs-") as folder:
        async with running(kind, Path(folder)) as stack:
            return await _Run(stack, effort, say).readings()


class _Run:
    """The steps on one stack, in an order in which none disturbs a later one."""

    def __init__(self, stack: Stack, effort: Effort, say: Say) -> None:
        self._stack, self._effort, self._say = stack, effort, say
        self._upload: Points = defaultdict(list)
        self._drain: Points = defaultdict(list)
        self._read: Points = defaultdict(list)
        self._drained: list[Drained] = []
        self._gaps: list[float] = []
        self._media: list[Media] = []
        self._idle: dict[str, float] = {}
        self._requests: Counted | None = None
        self._pair_bytes = self._redis_pair_kib = 0.0
        self._crowd = 1.0

    async def readings(self) -> Readings:
        """Measure."""
        stack, effort = self._stack, self._effort
        sizes = list(effort.pairs)
        usual = phones.bodies(sizes[USUAL])
        warm = await stack.open_moment()
        for tls in (False, True):
            await phones.send(stack, warm, usual, WARM, tls=tls, at_once=FEW)
        # After the warm-up, in which each program has loaded what it needs.
        process_kib = {name: meter.rss_kib(pid) for name, pid in stack.pids.items()}
        # Before all steps, because what a process uses when idle is taken off each of them.
        self._idle = await steps.idle(stack, effort.idle_s)
        alone = await steps.alone(stack, warm, usual, effort.alone)
        for number, size in enumerate(sizes):
            await self._size(size, counted=number == USUAL)
        for size in effort.drained:
            await self._drained_size(size)
        held = await steps.memory(stack, warm, usual[0], effort.in_flight)
        process_kib["worker"] = max(one.worker_kib for one in self._drained)
        self._idle["worker"] = min(one.idle_cores["worker"] for one in self._drained)
        with_worker = statistics.median(one.idle_cores["redis"] for one in self._drained)
        start_s = {name: [seconds] for name, seconds in stack.start_s.items()}
        start_s["worker"] = [one.start_s for one in self._drained]
        return Readings(
            upload=self._upload,
            drain=self._drain,
            read=self._read,
            idle_cores=self._idle,
            start_s=start_s,
            process_kib=process_kib,
            gaps_s=self._gaps,
            media=self._media,
            redis_pair_kib=self._redis_pair_kib,
            heartbeat_cores=max(0.0, with_worker - stack.redis_alone) / PROGRAMS,
            alone=alone,
            held=held,
            crowd=self._crowd,
            requests=self._requests,
            pair_bytes=self._pair_bytes,
        )

    async def _size(self, size: int, *, counted: bool) -> None:
        """Upload and read pairs of one photo size; render the usual ones, which are all alike."""
        effort = self._effort
        pairs = phones.bodies(size)
        pair_bytes = sum(map(len, pairs)) / len(pairs)
        count = effort.pairs[size]
        for _ in range(effort.rounds):
            for tls in (False, True):
                spent = await self._sent(pairs, count, tls=tls)
                self._add(self._upload, pair_bytes, spent.beyond(self._idle).cpu_ms, count, tls=tls)
        sent, drained = await self._drain_pairs(pairs, pair_bytes, counted=counted)
        if counted:
            alone_ms = drained.spent.beyond(drained.idle_cores).cpu_ms["worker"] / drained.pairs
            self._gaps = drained.gaps_s
            self._crowd = max(1.0, await self._crowded(pairs) / alone_ms)
        for picture in steps.PICTURES:
            for tls in (False, True):
                views, mean = await steps.read(self._stack, sent, picture, effort.views, tls=tls)
                self._add(self._read, mean, views.beyond(self._idle).cpu_ms, effort.views, tls=tls)
        self._say(f"{self._stack.kind}: uploads of {pair_bytes / 1000:.0f} KB measured")

    async def _sent(self, pairs: list[bytes], count: int, *, tls: bool) -> Spent:
        """What an upload costs that was not refused: a slow machine sheds, and then fewer phones send at once."""
        at_once = phones.CONNECTIONS
        while True:
            moment_id = await self._stack.open_moment()  # no worker runs: its pairs are never rendered
            try:
                spent, _ = await steps.upload(self._stack, moment_id, pairs, count, tls=tls, at_once=at_once)
            except* PhoneError as errors:
                if at_once <= FEW or not all("503" in str(error) for error in errors.exceptions):
                    raise
            else:
                return spent
            at_once //= 2
            self._say(f"{self._stack.kind}: the node sheds, this machine is busy; again with {at_once} phones at once")
            await asyncio.sleep(steps.SETTLE_S)

    async def _drained_size(self, size: int) -> None:
        """Render pairs of about one photo size: what that costs, and the bytes of their pictures."""
        pairs = phones.mixed(size)
        pair_bytes = sum(map(len, pairs)) / len(pairs)
        _, drained = await self._drain_pairs(pairs, pair_bytes, counted=False)
        self._add(self._drain, pair_bytes, drained.spent.beyond(drained.idle_cores).cpu_ms, drained.pairs)
        whole, first = drained.media_bytes
        self._media.append(Media(pair_bytes=pair_bytes, bytes=whole, without_full_bytes=first))
        self._say(f"{self._stack.kind}: renders of {pair_bytes / 1000:.0f} KB measured")

    async def _drain_pairs(
        self, pairs: list[bytes], pair_bytes: float, *, counted: bool
    ) -> tuple[Sequence[Sent], Drained]:
        """Upload some pairs more into an empty queue and render them."""
        stack, count = self._stack, self._effort.rendered
        # Else the worker would render the pairs of the uploads, too.
        await self._empty_queue()
        moment_id = await stack.open_moment()
        counting = counted and stack.kind == "minio"
        before = await stack.counted() if counting else None
        empty = self._redis_bytes()
        _, sent = await steps.upload(stack, moment_id, pairs, count, at_once=FEW)
        drained = await steps.drain(stack, moment_id, count)
        self._redis_pair_kib = max(0.0, (self._redis_bytes() - empty) / 1024 / count)
        self._drained.append(drained)
        if before is not None:
            self._requests, self._pair_bytes = (await stack.counted()).since(before), pair_bytes * count
            self._requests = msgspec.structs.replace(
                self._requests, requests={name: many / count for name, many in self._requests.requests.items()}
            )
        return sent, drained

    async def _crowded(self, pairs: list[bytes]) -> float:
        """CPU ms of a pair with a worker on each core, as a worker's machine has them."""
        moment_id, count = await self._stack.open_moment(), self._effort.rendered
        await steps.upload(self._stack, moment_id, pairs, count, at_once=FEW)
        return await steps.crowded(self._stack, moment_id, count, int(machine()["cpus"]))

    def _add(self, points: Points, size: float, cpu_ms: Mapping[str, float], count: int, *, tls: bool = False) -> None:
        """One reading for each tier; with TLS only of the balancer that has it, the others have been read without."""
        for name, ms in cpu_ms.items():
            if (name == "lb_tls") == tls:
                points[name].append((size, ms / count))

    async def _empty_queue(self) -> None:
        """Forget the jobs of pairs that shall not be rendered: what is in Redis may be lost at any time."""
        redis: Any = Redis.from_url(self._redis_url)
        redis.flushall()
        await asyncio.sleep(steps.SETTLE_S)

    def _redis_bytes(self) -> float:
        """The memory that Redis has in use."""
        redis: Any = Redis.from_url(self._redis_url)
        return float(redis.info("memory")["used_memory"])

    @property
    def _redis_url(self) -> str:
        return next(
            word.partition("=")[2] for word in self._stack.environment if word.startswith("SNAPSURGE_REDIS_URL=")
        )
