"""The steps that are measured on one stack, each by itself: upload, drain, read, an upload alone, memory, idleness."""

import asyncio
import contextlib
import itertools
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from ..peers import meter
from ..peers.phone import PhoneError
from ..peers.started import StartError
from . import disk, phones
from .interval import Meter, Spent, measured
from .phones import Sent
from .stack import LOOK_S, Stack

WARM_PAIRS: Final = 4  # rendered before the reading begins: the worker is started, its code is warm
SETTLE_S: Final = 1.0  # the last jobs are settled, and a pulse is sent; what is idle meanwhile is taken off
REST_S: Final = 3.0
STILL_S: Final = 0.5
PATIENCE_S: Final = 300.0
PICTURES: Final = ("front/thumb", "front/feed", "front/full")
METRICS_OLD_S: Final = 1.5
METRICS_S: Final = 30.0
COUNTED_S: Final = 30.0  # a post is counted a little after its answer
STAGE: Final = r'^snapsurge_stage_seconds_bucket\{le="([^"]+)",stage="store"\} (\S+)$'


class Drained(msgspec.Struct, frozen=True):
    """A drain of `pairs` pairs: what was spent (by the worker too), seconds a pair, start and memory of a worker."""

    spent: Spent
    pairs: int
    gaps_s: list[float]
    start_s: float
    worker_kib: int
    idle_cores: dict[str, float]  # with a worker that has nothing to do
    media_bytes: tuple[float, float]  # of a media object, and of one without `full`; of a file store


class Alone(msgspec.Struct, frozen=True):
    """Uploads one after the other: CPU ms of balancer and node for each, and the node's PUTs as a histogram."""

    lb_ms: list[float]
    node_ms: list[float]
    put_bounds_s: tuple[float, ...]
    put_counts: tuple[float, ...]


class Held(msgspec.Struct, frozen=True):
    """KiB of balancer and node for each upload in flight, beyond the bytes that it has received."""

    lb_kib: float
    node_kib: float


async def idle(stack: Stack, seconds: float) -> dict[str, float]:
    """The cores that each process uses when there is nothing to do."""
    spent, _ = await measured(stack.pids, lambda: asyncio.sleep(seconds))
    return {name: ms / 1000 / spent.seconds for name, ms in spent.cpu_ms.items()}


async def upload(
    stack: Stack,
    moment_id: str,
    pairs: Sequence[bytes],
    count: int,
    *,
    tls: bool = False,
    at_once: int = phones.CONNECTIONS,
) -> tuple[Spent, tuple[Sent, ...]]:
    """Send pairs while no worker runs; afterwards the moment must have them all."""
    wanted = (await stack.counts(moment_id))["accepted"] + count

    async def sending() -> tuple[Sent, ...]:
        return await phones.send(stack, moment_id, pairs, count, tls=tls, at_once=at_once)

    async def counted() -> bool:
        return (await stack.counts(moment_id))["accepted"] == wanted

    async def all_there(_: tuple[Sent, ...]) -> None:
        await until(counted, f"the moment counts {wanted} pairs, all of which were acknowledged", COUNTED_S)

    return await measured(stack.pids, sending, all_there)


async def drain(stack: Stack, moment_id: str, count: int) -> Drained:
    """Start a worker and measure the render of all pairs but the first `WARM_PAIRS`."""

    def rendered() -> list[disk.Object]:
        return disk.objects(stack.root, "media", moment_id)

    with stack.worker() as (pid, began):
        await until(lambda: len(rendered()) >= WARM_PAIRS, f"{WARM_PAIRS} pairs are rendered")
        reading = Meter({**stack.pids, "worker": pid})
        first = len(rendered())
        # On the store's disk: no step asks a tier for anything but the work that it measures.
        await until(lambda: len(rendered()) >= count, f"{count} pairs are rendered")
        await asyncio.sleep(SETTLE_S)
        spent, found = reading.spent(), rendered()
        memory_kib = meter.rss_kib(pid)
        rest, _ = await measured({**stack.pids, "worker": pid}, lambda: asyncio.sleep(REST_S))
    ready = (await stack.counts(moment_id))["ready"]
    if ready != count:
        raise StartError(f"{count} pairs were rendered, {ready} are counted as ready")
    gaps = disk.gaps_s(found)
    # The first pair was rendered in the start: one usual pair is taken off.
    start_s = found[0].at - began - sorted(gaps)[len(gaps) // 2]
    idle_cores = {name: ms / 1000 / rest.seconds for name, ms in rest.cpu_ms.items()}
    sizes = disk.mean_bytes(found), disk.mean_bytes(found) - disk.full_bytes(stack.root, moment_id)
    return Drained(spent, count - first, gaps[first:], max(0.0, start_s), memory_kib, idle_cores, sizes)


async def crowded(stack: Stack, moment_id: str, count: int, workers: int) -> float:
    """CPU ms of a pair in so many workers, all of which render while it is measured."""

    def rendered() -> int:
        return len(disk.objects(stack.root, "media", moment_id))

    with contextlib.ExitStack() as running:
        pids = {str(number): running.enter_context(stack.worker())[0] for number in range(workers)}
        await until(lambda: rendered() >= WARM_PAIRS * workers, f"{WARM_PAIRS * workers} pairs are rendered")
        reading, first = Meter(pids), rendered()
        await until(lambda: rendered() >= count - workers, f"{count - workers} pairs are rendered")
        spent, pairs = reading.spent(), rendered() - first
        await until(lambda: rendered() >= count, f"{count} pairs are rendered")
        await asyncio.sleep(SETTLE_S)
    return sum(spent.cpu_ms.values()) / pairs


async def read(
    stack: Stack, posts: Sequence[Sent], picture: str, count: int, *, tls: bool = False
) -> tuple[Spent, int]:
    """Read a picture of each post; what was spent, and the bytes of an answer."""
    return await measured(stack.pids, lambda: phones.view(stack, posts, picture, count, tls=tls))


async def alone(stack: Stack, moment_id: str, pairs: Sequence[bytes], count: int) -> Alone:
    """Uploads without company: what each one costs, and how long its PUT lasts on an idle store."""
    readings: list[dict[str, float]] = []
    reading = Meter({name: stack.pids[name] for name in ("lb", "node")})

    def each() -> None:
        readings.append(reading.spent().cpu_ms)

    before = stage(await stack.node_metrics())
    await phones.alone(stack, moment_id, pairs, count, each)
    await asyncio.sleep(METRICS_OLD_S)  # a node may show metrics that are a second old

    async def shown() -> bool:
        return stage(await stack.node_metrics()) != before

    await until(shown, "the node's metrics show the PUTs", METRICS_S)
    after = stage(await stack.node_metrics())
    cumulated = [count - before.get(bound, 0.0) for bound, count in after.items()]
    single = [high - low for low, high in zip([0.0, *cumulated], cumulated, strict=False)]
    costs = {
        name: [later[name] - sooner[name] for sooner, later in itertools.pairwise(readings)] for name in ("lb", "node")
    }
    return Alone(costs["lb"], costs["node"], tuple(after), tuple(single))


def stage(text: str) -> dict[float, float]:
    """The finite buckets of the node's PUTs: upper bound in seconds, and how many PUTs lasted at most so long."""
    found = re.findall(STAGE, text, re.MULTILINE)
    return {float(bound): float(count) for bound, count in found if bound != "+Inf"}


async def memory(stack: Stack, moment_id: str, body: bytes, count: int) -> Held:
    """Memory of uploads that have sent half of their body and wait."""
    half, open_phones = body[: len(body) // 2], []
    before = {name: meter.rss_kib(stack.pids[name]) for name in ("lb", "node")}
    try:
        for _ in range(count):
            phone = await phones.connected(stack.ports["lb"])
            open_phones.append(phone)
            user = f"user-{next(phones.USERS)}"
            phone.transport.write(phones.head(stack, moment_id, user, len(body)))
            phone.transport.write(half)
        unread = Unread(stack)
        await until(
            lambda: not any(phone.transport.get_write_buffer_size() for phone in open_phones) and unread.still(),
            "balancer and node have read what the phones sent",
        )
        # A process that cuts uploads has their memory back.
        if cut := [phone.said for phone in open_phones if phone.closed.is_set()]:
            raise PhoneError(f"{len(cut)} uploads that waited were cut: {cut[0][:400]!r}")
        now = {name: meter.rss_kib(stack.pids[name]) for name in before}
    finally:
        for phone in open_phones:
            phone.transport.abort()
    received_kib = (len(half) - unread.of_node / count) / 1024
    lb, node = ((now[name] - before[name]) / count for name in ("lb", "node"))
    return Held(max(0.0, lb), max(0.0, node - received_kib))


class Unread:
    """What balancer and node have not read yet: they leave up to 32 KiB of a body in the kernel until more comes."""

    def __init__(self, stack: Stack) -> None:
        self._ports = stack.ports["lb"], stack.ports["node"]
        self._last = (-1, -1)
        self._since = 0.0

    @property
    def of_node(self) -> int:
        """Bytes at the last look."""
        return self._last[1]

    def still(self) -> bool:
        """Look; whether nothing was read for a while."""
        now = meter.unread_bytes(self._ports[0]), meter.unread_bytes(self._ports[1])
        if now != self._last:
            self._last, self._since = now, time.monotonic()
        return time.monotonic() - self._since > STILL_S


async def until(there: Callable[[], bool | Awaitable[bool]], what: str, patience_s: float = PATIENCE_S) -> None:
    """Wait until it is so; StartError names `what` after `patience_s`."""
    try:
        async with asyncio.timeout(patience_s):
            while not (await found if isinstance(found := there(), Awaitable) else found):  # noqa: ASYNC110 - of others
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        raise StartError(f"not within {patience_s:g} s: {what}") from None
