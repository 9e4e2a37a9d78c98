"""The faults of a rehearsal: each acts on the processes that `stack.json` lists, proves that it happened, and ends.

A fault is signals and nothing else, so it works at any stack on this machine.
"""

import asyncio
import contextlib
import os
import signal
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import aiohttp
import msgspec
import psutil
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ..clock import Clock
from ..errors import BenchError
from ..peers.deployed import Record
from .stack import Place

LOOK_S: Final = 0.1
GONE_S: Final = 20.0  # for a signalled process to end, and for its successor to be there
FAILOVER_S: Final = 30.0
AWAY_S: Final = 10.0
SLOW_PERIOD_S: Final = 0.2
SLOW_PART: Final = 0.1
SLOWER_MIN: Final = 3.0
ASK: Final = aiohttp.ClientTimeout(total=1.0)
PRIMARY_OF: Final = "redis+sentinel://"


class NotStruck(BenchError):
    """The fault did not happen, or it cannot be proven that it did; the text says what was seen."""


class Scene(msgspec.Struct, frozen=True):
    """What a fault acts on: the stack, a session for probes, the clock, and the event that is set at the peak."""

    place: Place
    session: aiohttp.ClientSession
    clock: Clock
    peak: asyncio.Event

    def signal(self, pid: int, signum: signal.Signals) -> None:
        """Signal a process of the stack; NotStruck when the pid is not one, as in a file from another machine."""
        try:
            # A file from another machine, or an old one, names pids that are somebody else's here.
            if self.place.record().supervisor.pid not in {one.pid for one in psutil.Process(pid).parents()}:
                raise NotStruck(f"pid {pid} is no process of the stack in {self.place.file}; nothing was signalled")
            os.kill(pid, signum)
        except (psutil.NoSuchProcess, ProcessLookupError, PermissionError) as error:
            raise NotStruck(f"pid {pid} cannot be signalled: {error}") from error

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait until it holds; NotStruck names `what` when it does not in time."""
        began = self.clock.now()
        while not holds():
            if self.clock.now() - began > GONE_S:
                raise NotStruck(f"not within {GONE_S:.0f} s: {what}")
            await self.clock.sleep(LOOK_S)


Strike = Callable[[Scene], Awaitable[str]]


class Fault(msgspec.Struct, frozen=True):
    """A fault: its name, why a stack cannot have it (empty: it can), its course, and when it begins.

    The course returns the evidence. One that begins before the burst lasts until its peak.
    """

    name: str
    lacking: Callable[[Record], str]
    strike: Strike
    begins: Literal["peak", "before"] = "peak"


def runs(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


async def kill(tier: str, scene: Scene) -> str:
    """SIGKILL one process of a tier; it ends, and its supervisor starts another one."""
    before = scene.place.record().pids(tier)
    return await _killed(before[len(before) // 2], tier, lambda: _pids(scene, tier), scene)


async def kill_shard(scene: Scene) -> str:
    """SIGKILL the first Redis of those that have the posts."""
    shard = scene.place.record().named("redis-shard")[0]
    return await _killed(
        shard.pid, shard.name, lambda: [one.pid for one in scene.place.record().named(shard.name)], scene
    )


async def _killed(pid: int, what: str, now: Callable[[], Sequence[int]], scene: Scene) -> str:
    known, began = set(now()), scene.clock.now()
    scene.signal(pid, signal.SIGKILL)
    await scene.until(lambda: not runs(pid), f"{what} {pid} ends")
    await scene.until(lambda: any(one not in known and runs(one) for one in now()), f"another {what} runs")
    return f"{what} {pid} ended; another one ran after {scene.clock.now() - began:.1f} s"


def _pids(scene: Scene, tier: str) -> Sequence[int]:
    return scene.place.record().pids(tier)


async def fail_over(scene: Scene) -> str:
    """Stop the primary until the Sentinels name another one, then kill it; its supervisor starts it as a replica.

    It is stopped first, because a killed one is started again before the Sentinels find it down.
    """
    record = scene.place.record()
    old = await primary(record)
    (server,) = [one for one in record.servers if old in _ports(one.pid)]
    named = old
    async with _stopped(scene, [server.pid]):
        began = scene.clock.now()
        while named == old:
            if scene.clock.now() - began > FAILOVER_S:
                raise NotStruck(f"{server.name} {server.pid} was stopped, and no Sentinel named another primary")
            await scene.clock.sleep(LOOK_S)
            with contextlib.suppress(NotStruck):
                named = await primary(record)
        took = scene.clock.now() - began
        scene.signal(server.pid, signal.SIGKILL)
        await scene.until(lambda: not runs(server.pid), f"{server.name} {server.pid} ends")
    return f"{server.name} {server.pid} ended; the Sentinels named port {named} in place of {old} after {took:.1f} s"


async def primary(record: Record) -> int:
    """The port of the primary that a Sentinel names; NotStruck when none of them answers."""
    hosts, _, rest = record.redis.removeprefix(PRIMARY_OF).partition("/")
    for address in hosts.rpartition("@")[2].split(","):
        host, _, port = address.partition(":")
        with contextlib.suppress(RedisError, OSError):
            async with Redis(host=host, port=int(port), socket_timeout=1.0) as sentinel:
                ask: Any = sentinel.execute_command
                found = await ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", rest.partition("/")[0])
                if found:
                    return int(found[1])
    raise NotStruck("no Sentinel answers")


def _ports(pid: int) -> set[int]:
    """The TCP ports on which a process listens."""
    with contextlib.suppress(psutil.Error):
        return {
            one.laddr.port for one in psutil.Process(pid).net_connections("tcp") if one.status == psutil.CONN_LISTEN
        }
    return set()


async def slow_store(scene: Scene) -> str:
    """Let MinIO run a tenth of the time; its health answers many times as slowly as before."""
    record = scene.place.record()
    pids = [server.pid for server in record.named("minio")]
    before = statistics.median([await _answer_s(scene, record) for _ in range(5)])
    until, took = scene.clock.now() + AWAY_S, []

    async def ask() -> None:
        while scene.clock.now() < until:
            took.append(await _answer_s(scene, record))
            await scene.clock.sleep(SLOW_PERIOD_S)

    async with asyncio.TaskGroup() as group:
        group.create_task(ask())
        while scene.clock.now() < until:
            # A process that runs a tenth of the time answers ten times as slowly; no proxy or disk quota is needed.
            async with _stopped(scene, pids):
                await scene.clock.sleep(SLOW_PERIOD_S * (1 - SLOW_PART))
            await scene.clock.sleep(SLOW_PERIOD_S * SLOW_PART)
    slow = statistics.median(took)
    # A MinIO that another one covers for, or that was idle, was not slowed.
    if slow < SLOWER_MIN * before:
        raise NotStruck(f"MinIO answered in {before * 1e3:.0f} ms before and in {slow * 1e3:.0f} ms meanwhile")
    return (
        f"for {AWAY_S:.0f} s MinIO ran a tenth of the time: {before * 1e3:.0f} ms for an answer became {slow * 1e3:.0f}"
    )


async def store_away(scene: Scene) -> str:
    """Stop every MinIO for ten seconds; none of them answers."""
    record = scene.place.record()
    pids = [server.pid for server in record.named("minio")]
    async with _stopped(scene, pids):
        await scene.until(lambda: _all_stopped(pids), f"MinIO {pids} is stopped")
        answered = await _answer_s(scene, record) < (ASK.total or 0)
        await scene.clock.sleep(AWAY_S - (0 if answered else ASK.total or 0))
        stopped = _all_stopped(pids)
    if answered or not stopped:
        raise NotStruck(f"MinIO {pids}: stopped {stopped}, answered {answered}")
    return f"MinIO {', '.join(map(str, pids))} stopped for {AWAY_S:.0f} s, no answer"


async def late_autoscaler(scene: Scene) -> str:
    """Stop the autoscaler before the moment is known, until the burst's peak."""
    (pid,) = scene.place.record().pids("autoscaler")
    async with _stopped(scene, [pid]):
        began = scene.clock.now()
        await scene.peak.wait()
        stopped = _all_stopped([pid])
    if not stopped:
        raise NotStruck(f"autoscaler {pid} ran")
    return f"autoscaler {pid} stopped for {scene.clock.now() - began:.0f} s, until the peak"


def _all_stopped(pids: Sequence[int]) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return all(psutil.Process(pid).status() == psutil.STATUS_STOPPED for pid in pids)
    return False


@contextlib.asynccontextmanager
async def _stopped(scene: Scene, pids: Sequence[int]) -> AsyncIterator[None]:
    """Stop these processes inside the block, whatever happens in it."""
    stopped: list[int] = []
    try:
        for pid in pids:
            scene.signal(pid, signal.SIGSTOP)
            stopped.append(pid)
        yield
    finally:
        for pid in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


async def _answer_s(scene: Scene, record: Record) -> float:
    """Seconds for the store's health to answer; the time-out when it does not."""
    began = time.perf_counter()
    with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
        async with scene.session.get(f"{endpoint(record)}/minio/health/live", timeout=ASK) as answer:
            await answer.read()
            return time.perf_counter() - began
    return ASK.total or 0.0


def endpoint(record: Record) -> str:
    """The address of the first MinIO."""
    query = dict(part.split("=", 1) for part in urlsplit(record.store).query.split("&") if "=" in part)
    return query.get("endpoint", "").split(",")[0]


def _never(_: Record) -> str:
    return ""


def _without(name: str, why: str) -> Callable[[Record], str]:
    return lambda record: "" if record.named(name) else why


def _autoscaler(record: Record) -> str:
    return "" if record.autoscaler else "this stack has no autoscaler of its own"


def _workers(record: Record) -> str:
    return "" if record.workers else "no worker runs"


STORE: Final = "the store is no MinIO of this stack; start one with --store minio"
FAULTS: Final = (
    Fault("node-killed", _never, partial(kill, "node")),
    Fault("balancer-killed", _never, partial(kill, "balancer")),
    Fault("worker-killed", _workers, partial(kill, "worker")),
    Fault("redis-primary-killed", _without("sentinel", "no Sentinel here; start one with --redis-sentinel"), fail_over),
    Fault("redis-shard-killed", _without("redis-shard", "one shard only; start more with --redis-shards"), kill_shard),
    Fault("store-slow", _without("minio", STORE), slow_store),
    Fault("store-away-10s", _without("minio", STORE), store_away),
    Fault("autoscaler-late", _autoscaler, late_autoscaler, "before"),
)
