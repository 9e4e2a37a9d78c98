"""Keeps as many workers as `scaling.decide` wants, looks at the queue every second, and runs the sweeper beside it.

It only measures, decides and acts: the decision is pure (scaling.py), the processes are the pool's. Without Redis the
metric is stale and the pool stays as it is; without the store the last known schedule counts. Its workers learn of its
end by the end of their standard input, so that no worker is left behind whatever becomes of it.
"""

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

import storage.config
from storage.blobs import StoreUnavailable
from storage.index import Index
from storage.moments import Moments
from storage.opening import blob_store, redis_client
from storage.queue import Queue
from storage.records import ACCEPTING_MS, to_ms

from .config import Config, address
from .letters import DeadLetters
from .metrics import ScalerMetrics, exposed
from .pool import Pool, spawned
from .pulse import Meter, Pulse, pulse_key
from .scaling import Limits, Load, Moment, Needed, decide
from .stopping import pause
from .sweeper import Sweeper

log = logging.getLogger("snapsurge.processors.autoscale")

# Moments change seldom; one that is created is known this soon, well before its lead begins.
SCHEDULE_S = 2.0
# The workers' own grace, and a little for Python to end.
CLOSE_MARGIN_S = 3.0


def limits_of(config: Config) -> Limits:
    """The settings as the decision takes them."""
    return Limits(
        workers_min=config.workers_min,
        workers_max=config.workers_most,
        workers_warm=config.workers_ready,
        drain_s=config.drain_target_s,
        lead_s=config.warm_lead_s,
        hold_s=config.warm_hold_s,
        down_s=config.scale_down_s,
        utilisation=config.utilisation,
    )


class Autoscaler:
    """One decision after the other. `clock` gives unix seconds; the other one never goes back."""

    def __init__(
        self,
        limits: Limits,
        redis: Redis,
        moments: Moments,
        pool: Pool,
        metrics: ScalerMetrics,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._redis = redis
        self._queue = Queue(redis)
        self._dead = DeadLetters(redis)
        self._moments = moments
        self._pool = pool
        self._metrics = metrics
        self._clock = clock
        self._monotonic = monotonic
        self._meter = Meter()
        self._host = socket.gethostname()
        self._schedule: tuple[Moment, ...] = ()
        self._schedule_due = 0.0
        self._history: tuple[Needed, ...] = ()
        self._desired = -1
        self._away = False

    async def tick(self) -> None:
        """Measure, decide, act."""
        load = await self._load()
        await self._refresh_schedule()
        now_s = self._clock()
        decision = decide(
            load,
            self._schedule,
            self._limits,
            workers=self._pool.size,
            now_ms=int(now_s * 1000),
            history=self._history,
        )
        self._history = decision.history
        if decision.desired != self._desired:
            seen = "Redis is away" if load is None else f"{load.ready} ready, the oldest {load.oldest_s:.1f} s"
            log.info("workers: %d → %d (%s)", self._pool.size, decision.desired, seen)
            self._desired = decision.desired
        await self._pool.tend(decision.desired, self._monotonic())
        self._metrics.desired.set(decision.desired)
        self._metrics.workers.set(self._pool.size)

    async def _load(self) -> Load | None:
        """The queue and what the workers tell of themselves; None when Redis does not answer."""
        try:
            depth = await self._queue.depth()
            pulses = await self._pulses()
            self._metrics.dead.set(await self._dead.count())
        except (RedisError, OSError) as error:
            if not self._away:
                log.warning("Redis is away, the number of workers stays: %s", error)
            self._away = True
            return None
        self._away = False
        self._metrics.ready.set(depth.ready)
        self._metrics.oldest.set(depth.oldest_s)
        return self._meter.load(depth.ready, depth.oldest_s, pulses, self._monotonic())

    async def _pulses(self) -> dict[int, Pulse]:
        pids = self._pool.pids
        if not pids:
            return {}
        found = await self._redis.mget([pulse_key(self._host, pid) for pid in pids])
        return {pid: msgspec.msgpack.decode(one, type=Pulse) for pid, one in zip(pids, found, strict=True) if one}

    async def _refresh_schedule(self) -> None:
        """The moments of the accepting period and those to come, every few seconds."""
        if self._monotonic() < self._schedule_due:
            return
        self._schedule_due = self._monotonic() + SCHEDULE_S
        try:
            moments = await self._moments.since(int(self._clock() * 1000) - ACCEPTING_MS)
        except Exception as error:  # noqa: BLE001 - a moment that cannot be read must not end the scaling
            log.warning("the schedule stays as it was: %s", error)
            return
        self._schedule = tuple(Moment(fires_at_ms=to_ms(one.fires_at), window_s=one.window_s) for one in moments)


async def run(config: Config, storage_config: storage.config.Config, stop: asyncio.Event) -> None:
    """The autoscaler until `stop`; blobs.StoreUnavailable when the store cannot be opened at all."""
    metrics, pool = ScalerMetrics(), Pool(spawned)
    async with contextlib.AsyncExitStack() as stack:
        redis = redis_client(storage_config)
        stack.push_async_callback(redis.aclose)
        store = await stack.enter_async_context(blob_store(storage_config))
        views = {"/workers": lambda: {"workers": [{"pid": pid} for pid in pool.pids]}}
        await stack.enter_async_context(exposed(address(config.autoscaler_listen), metrics.registry, views))
        autoscaler = Autoscaler(limits_of(config), redis, Moments(store, Index(redis)), pool, metrics)
        sweeper = Sweeper(store, redis, every_s=config.sweep_every_s)
        try:
            async with asyncio.TaskGroup() as group:
                sweeping = group.create_task(_sweeping(sweeper, config.sweep_every_s, metrics), name="sweeper")
                while not stop.is_set():
                    await autoscaler.tick()
                    await pause(stop, config.scale_every_s)
                sweeping.cancel()
        finally:
            await pool.close(config.drain_s + CLOSE_MARGIN_S)


async def _sweeping(sweeper: Sweeper, every_s: float, metrics: ScalerMetrics) -> None:
    """Sweep, rest, sweep, until cancelled."""
    while True:
        try:
            swept = await sweeper.sweep(time.time())
        except (StoreUnavailable, RedisError, OSError) as error:
            log.warning("the sweep is put off: %s", error)
        except Exception:
            log.exception("the sweep failed")
        else:
            metrics.swept.inc(swept.queued)
            if swept.queued or swept.tidied:
                log.info("swept: %s", swept)
        await asyncio.sleep(every_s)
