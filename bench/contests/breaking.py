"""One burst whose connections break, at one server: sent open loop, what it cost counted.

Knows servers and phones; `resume` knows which bursts are worth what.
"""

import asyncio
import contextlib
import random
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Final

import aiohttp
import msgspec

from ..client import Client, token
from ..clock import SystemClock
from ..config import Config
from ..connections import Connections
from ..costing.stack import counted
from ..errors import BenchError
from ..outcome import Outcome
from ..peers import backing, meter, started, tusd
from ..peers.tus import TusPhone
from ..photos import Gallery
from ..replay.beats import Arrival
from ..replay.sender import Phones, Sender
from ..rows import percentile
from ..traces.columns import Columns
from ..traces.trace import Row
from .node import SECRET, moment_path, node_command

LOOK_S: Final = 0.1
READY_S: Final = 8.0  # until the moment: a server starts, and the moment must be known before it
CONFIG: Final = Config(auth_secret=SECRET)


class Burst(msgspec.Struct, frozen=True):
    """Rows to send, and the seconds after the moment until which a post is on time."""

    rows: tuple[Row, ...]
    window_s: int

    @classmethod
    def of(cls, columns: Columns, window_s: int) -> "Burst":
        """The burst in these columns."""
        return cls(tuple(row for block in columns.blocks() for row in block), window_s)


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What a burst came to: bytes sent to the least, times from the intended time to the 201, peak of memory over idle.

    `on_time`: share of all whose `received_at` is within the window; None where a server has no such time. `lost`:
    pairs that were not stored after all tries; the other figures are of those that were.
    """

    lost: int
    sent_ratio: float
    p50_ms: float
    p99_ms: float
    on_time: float | None
    memory_mb: float
    store_requests: float
    resumed: int


class Server(msgspec.Struct, frozen=True):
    """A running server: its process, its address, the moment that is open there (none at tusd)."""

    pid: int
    url: str
    moment_id: str = ""
    closes_at: float | None = None


Phone = Callable[[Connections, Server, SystemClock], Phones]


def resuming(connections: Connections, server: Server, clock: SystemClock) -> Phones:
    """Our client as it is when a trace has breaks."""
    return Client(connections, [server.url], CONFIG, clock, random.Random(1), resumes=True)


def starting_over(connections: Connections, server: Server, clock: SystemClock) -> Phones:
    """Our client with --no-resume."""
    return Client(connections, [server.url], CONFIG, clock, random.Random(1))


def tus(connections: Connections, server: Server, clock: SystemClock) -> Phones:
    """A client of tusd."""
    return TusPhone(connections, server.url, CONFIG, clock, random.Random(1))


@contextlib.contextmanager
def node(behind: backing.Backing, fires_at: float, window_s: int) -> Iterator[Server]:
    """Run our node, with a moment open."""
    # A fresh server for each burst, so that memory and counts are its own.
    port = started.free_port()
    with started.process(node_command(port, behind), port) as process:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(fires_at)) + f".{int(fires_at % 1 * 1000):03}Z"
        asked = msgspec.json.encode({"region": "bench", "fires_at": stamp, "window_s": window_s})
        moment_id = moment_path(port, asked).split("/")[3]
        yield Server(process.pid, f"http://127.0.0.1:{port}", moment_id, fires_at + window_s)


@contextlib.contextmanager
def tus_server(behind: backing.Backing, _fires_at: float, _window_s: int) -> Iterator[Server]:
    """Run tusd until the block ends; it stores into the MinIO behind it."""
    port = started.free_port()
    with started.process(tusd.command(port, behind.s3), port) as process:
        yield Server(process.pid, f"http://127.0.0.1:{port}")


Running = Callable[[backing.Backing, float, int], contextlib.AbstractContextManager[Server]]


async def met(burst: Burst, running: Running, phone: Phone, behind: backing.Backing, *, counts: bool = True) -> Seen:
    """Send the burst. `counts`: the store is asked what it was asked."""
    clock = SystemClock()
    now = clock.now()
    arrivals = [Arrival(n, row, token(SECRET, row.u, "upload", now)) for n, row in enumerate(burst.rows)]
    gallery = await asyncio.to_thread(Gallery, 1, max(max(row.f, row.b) for row in burst.rows))
    async with aiohttp.ClientSession() as session, Connections(CONFIG.connections_max, clock) as connections:
        before = await counted(session, behind.s3) if counts else None
        with contextlib.ExitStack() as stack:
            fires_at = round(clock.now() + READY_S, 3)
            server = await asyncio.to_thread(stack.enter_context, running(behind, fires_at, burst.window_s))
            sender = Sender(arrivals, gallery, phone(connections, server, clock), clock, obey_uplink=True)
            async with watched(server.pid) as peak:
                await sender.send(server.moment_id, fires_at)
            (beat,) = sender.beats()
            after = await counted(session, behind.s3) if counts else None
    added = sum(after.since(before).requests.values()) if before and after else 0.0
    return seen([ended.outcome for ended in beat.ended], server, peak(), added)


@contextlib.asynccontextmanager
async def watched(pid: int) -> AsyncIterator[Callable[[], float]]:
    """Watch a process's memory; what is given tells the peak over the beginning, in MB."""
    idle = most = meter.rss_kib(pid)

    async def look() -> None:
        nonlocal most
        while True:
            most = max(most, meter.rss_kib(pid))
            await asyncio.sleep(LOOK_S)

    async with asyncio.TaskGroup() as group:
        looking = group.create_task(look(), name="memory")
        yield lambda: (most - idle) * 1024 / 1e6
        looking.cancel()


def seen(outcomes: Sequence[Outcome], server: Server, memory_mb: float, store_requests: float) -> Seen:
    """The figures of these uploads; BenchError when none was stored."""
    lost = [outcome for outcome in outcomes if not outcome.acknowledged]
    outcomes = [outcome for outcome in outcomes if outcome.acknowledged]
    # Told, and not an error here: only our node must store every pair (`resume.rows_of`).
    if lost:
        statuses = [attempt.status for attempt in lost[0].attempts]
        print(f"bench: {len(lost)} uploads were not stored; one was answered {statuses}", file=sys.stderr)
    if not outcomes:
        raise BenchError("no upload was stored")
    times = sorted((outcome.finished - outcome.intended) * 1000 for outcome in outcomes)
    tries = [attempt for outcome in outcomes for attempt in outcome.attempts]
    received = [outcome.received_at.timestamp() for outcome in outcomes if outcome.received_at]
    closes_at = server.closes_at
    return Seen(
        lost=len(lost),
        sent_ratio=sum(attempt.sent for attempt in tries) / sum(outcome.length for outcome in outcomes),
        p50_ms=percentile(times, 50),
        p99_ms=percentile(times, 99),
        on_time=None if closes_at is None else sum(at <= closes_at for at in received) / len(outcomes),
        # Over idle: a server of another language begins with another size.
        memory_mb=memory_mb,
        store_requests=store_requests / len(outcomes),
        resumed=sum(attempt.resumed for attempt in tries),
    )
