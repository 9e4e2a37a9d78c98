"""The autoscaler: every second it measures the queue and adjusts the number of workers. It also runs the sweeper.

The decision is pure (sizing.py); the pool starts and stops the processes (pool.py). Without a pool (`--decide-only`)
another program does, for example KEDA, which reads the decision from `/v1/scaling`. Of several autoscalers one is
elected leader; standbys run no workers and wait. While Redis does not answer, the number of workers stays as it is;
a new leader continues the history of the one before (history.py). A worker stops when its standard input
ends, so no worker outlives the autoscaler, however the autoscaler ends.
"""

import asyncio
import contextlib
import logging
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from functools import partial

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

import storage.config
from storage.decision import Scaling, publish
from storage.moments import Moments
from storage.opening import blob_store, redis_client, shard_clients
from storage.queue.jobs import depth_of, measuring
from storage.queue.shards import Shards
from storage.records import Moment, from_ms
from storage.refusals import reason
from storage.scripts import run as run_scripts
from storage.sharded_index import ShardedIndex

from ..about import about_view
from ..accounting.writing import Accountant, accounting
from ..config import Config, address
from ..election import Election
from ..metrics import ScalerMetrics
from ..retention import Retention
from ..stopping import pause
from ..sweeper import Sweeper
from .history import recalled, remember
from .ladder import Ladder, counts, lead_s
from .moment_counts import counting
from .pool import Pool, spawned
from .presence import heard_in, hearing
from .pulse import Meter, Pulse, process_of
from .redis_servers import asking, servers
from .retention_task import retaining
from .schedule import Schedule
from .sizing import Limits, Load, Needed, decide
from .sweep_task import sweeping
from .targets import serving
from .views import views

log = logging.getLogger("snapsurge.processors.autoscale")

# Seconds added to the workers' `drain_s`, for Python to exit.
CLOSE_MARGIN_S = 3.0
# A decision that stays the same is published again so often within the time for which it is valid.
PUBLISHED_PER_TERM = 3
# A decision and an election survive a few late ticks; after that they are stale.
TERM_S_MIN = 5.0
TERM_TICKS = 3


def limits_of(config: Config) -> Limits:
    """The limits of the scaling decision, from the settings."""
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


def term_s(config: Config) -> float:
    """Seconds for which a decision is valid, and for which a leader stays elected without renewing."""
    return max(TERM_S_MIN, TERM_TICKS * config.scale_every_s)


class Autoscaler:
    """Measures, decides and acts, once each `tick`. `clock` gives unix seconds, `monotonic` seconds of any origin."""

    def __init__(
        self,
        limits: Limits,
        redis: Redis,
        moments: Moments,
        pool: Pool | None,
        metrics: ScalerMetrics,
        election: Election,
        *,
        term_s: float = TERM_S_MIN,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        shards: Mapping[str, Redis] | None = None,
        ladder: Ladder = (),
    ) -> None:
        shards = shards or {"": redis}
        self._limits = limits
        self._redis = redis
        self._queue = Shards(shards)
        # Then one round trip measures everything.
        self._shares_redis = list(shards.values()) == [redis]
        ahead_s = max(limits.lead_s, lead_s(ladder))
        self._schedule = Schedule(moments, lead_s=ahead_s, clock=clock, monotonic=monotonic)
        self._ladder = ladder
        self._pool = pool
        self._metrics = metrics
        self._election = election
        self._term_s = term_s
        self._clock = clock
        self._monotonic = monotonic
        self._meter = Meter()
        self._host = socket.gethostname()
        self._history: tuple[Needed, ...] | None = None  # None: not the leader yet
        self._pulses: Mapping[str, Pulse] = {}
        self._desired = -1
        self._standing_by = ""  # why
        self._published: Scaling | None = None
        self._publish_s = 0.0
        self._away = False
        self._unreadable: frozenset[bytes] = frozenset()

    @property
    def workers(self) -> int:
        """The number of workers that claim jobs: those of the pool, or without a pool those with a fresh pulse."""
        return len(self._pulses) if self._pool is None else self._pool.size

    def moments(self) -> tuple[Moment, ...]:
        """The moments that accept posts and those that come soon, as last read."""
        return self._schedule.known

    async def tick(self) -> None:
        """Campaign; then as the leader measure, decide and act, else stand by."""
        load = await self._load()
        self._metrics.elected.set(self._election.elected)
        if not self._election.elected:
            await self._stand_by()
            return
        schedule, now_ms = await self._schedule.moments(), int(self._clock() * 1000)
        tiers = counts(self._ladder, schedule, self._limits, load, now_ms=now_ms)
        decision = decide(
            load,
            schedule,
            self._limits,
            workers=self.workers,
            now_ms=now_ms,
            history=self._history or (),
            planned=tiers.pop("worker", 0),
        )
        self._history = decision.history
        await self._act(decision.desired, tiers, load)

    async def _stand_by(self) -> None:
        """Not elected: stop our workers and forget the history of decisions."""
        why = "no leader can be elected without Redis" if self._away else "another autoscaler is the leader"
        if why != self._standing_by:
            log.info("standing by%s: %s", "" if self._pool is None else ", without workers", why)
        self._standing_by, self._desired, self._history = why, 0, None
        if self._pool is not None:
            # The leader's pool has the workers; two pools would have twice as many.
            await self._pool.tend(0, self._monotonic(), self._pids(idle=True))
        self._metrics.desired.set(0)
        self._metrics.workers.set(self.workers)

    async def _act(self, desired: int, tiers: dict[str, int], load: Load | None) -> None:
        """Start or stop workers and publish a new decision; without a fresh measurement, publish nothing."""
        if desired != self._desired:
            seen = "Redis is unavailable" if load is None else f"{load.ready} ready, the oldest {load.oldest_s:.1f} s"
            log.info("%d workers wanted, %d running (%s)", desired, self.workers, seen)
            self._desired = desired
        self._standing_by = ""
        if self._pool is not None:
            heard = None if load is None else self._pids()
            await self._pool.tend(desired, self._monotonic(), self._pids(idle=True), heard)
        self._metrics.desired.set(desired)
        self._metrics.workers.set(self.workers)
        for tier, count in tiers.items():
            self._metrics.tiers.labels(tier).set(count)
        if load is None:
            # No old measurement as a new decision: without one, whoever scales keeps the number that there is.
            return
        scaling = Scaling(
            desired=desired,
            workers=self.workers,
            ready=load.ready,
            oldest_s=round(load.oldest_s, 3),
            arrivals_per_s=round(load.arrivals_per_s, 3),
            service_s=round(load.service_s, 6),
            decided_at=from_ms(int(self._clock() * 1000)),
            tiers=tiers,
        )
        same = msgspec.structs.replace(scaling, decided_at="")
        if same == self._published and self._monotonic() < self._publish_s:
            return
        with contextlib.suppress(RedisError, OSError):  # The next tick logs that Redis does not answer.
            await publish(self._redis, scaling, ttl_s=self._term_s)
            await remember(self._redis, self._history or (), keep_s=self._limits.down_s)
            self._published, self._publish_s = same, self._monotonic() + self._term_s / PUBLISHED_PER_TERM

    def _pids(self, *, idle: bool = False) -> set[int]:
        """Process ids of this machine's workers with a fresh pulse; with `idle`, those that run no job."""
        names = [process_of(name) for name, pulse in self._pulses.items() if not (idle and pulse.running)]
        return {one[1] for one in names if one is not None and one[0] == self._host}

    async def _load(self) -> Load | None:
        """Measure the queue and the workers; None when Redis does not answer, or when another autoscaler is the leader.

        While Redis does not answer, the leader stays the leader and a standby stays a standby.
        """
        try:
            calls = [self._election.campaigning(), hearing(self._election.token)]
            if self._shares_redis:
                calls.append(measuring())
            won, pulses, *measured = await run_scripts(self._redis, *calls)
            if not self._election.decided(won):
                return None
            if self._history is None:
                self._history = await recalled(self._redis)
            depth = depth_of(measured[0]) if measured else await self._queue.depth()
            found = heard_in(pulses)
            self._pulses = found.fresh
            self._say_unreadable(found.unreadable)
            await self._queue.note_deaths(found.lost)
        except (RedisError, OSError) as error:
            if not self._away:
                log.warning("Redis is unavailable, the number of workers stays the same: %s", reason(error))
            self._away = True
            return None
        self._away = False
        self._metrics.measure(depth, self._clock())
        expected = max(self._desired, 0)
        return self._meter.load(depth, self._pulses, expected, self._monotonic())

    def _say_unreadable(self, names: frozenset[bytes]) -> None:
        """Log each worker with an unreadable name or pulse once, not at every tick."""
        if new := sorted(names - self._unreadable):
            log.warning("ignoring %d malformed status reports of workers in Redis, such as %.100r", len(new), new[0])
        self._unreadable = names


async def run(
    config: Config,
    storage_config: storage.config.Config,
    stop: asyncio.Event,
    *,
    ladder: Ladder = (),
    decide_only: bool = False,
    log: str = "json",
) -> None:
    """Run the autoscaler until `stop`; blobs.StoreUnavailable when the store cannot be opened at the start."""
    metrics, pool = ScalerMetrics(), None if decide_only else Pool(partial(spawned, log=log))
    async with contextlib.AsyncExitStack() as stack:
        redis = redis_client(storage_config)
        shards = shard_clients(storage_config, redis)
        for client in (redis, *shards.values()):
            stack.push_async_callback(client.aclose)
        store = await stack.enter_async_context(blob_store(storage_config))
        listen = address(config.autoscaler_listen)
        shown = views(redis, pool) | about_view("autoscaler", config, storage_config)
        await stack.enter_async_context(serving(listen, metrics.registry, redis, "autoscaler", views=shown))
        election = Election(redis, secrets.token_hex(8), term_s=term_s(config))
        index = ShardedIndex(redis, shards)
        limits, term, moments = limits_of(config), term_s(config), Moments(store, index)
        autoscaler = Autoscaler(
            limits, redis, moments, pool, metrics, election, term_s=term, shards=shards, ladder=ladder
        )
        sweeper = Sweeper(store, redis, every_s=config.sweep_every_s, shards=shards)
        days = {"intake_days": storage_config.intake_days, "moment_days": storage_config.moment_days}
        beside = {
            "sweeper": sweeping(sweeper, election, metrics),
            "counts": counting(autoscaler.moments, index, election, metrics),
            "redis": asking(servers(storage_config, redis, shards), election, metrics.led),
            "accounts": accounting(Accountant(store, redis, shards), election, metrics.led),
            "retention": retaining(Retention(store, redis, shards=shards, **days), election),
        }
        metrics.behind.set_function(lambda: sweeper.behind_s(time.time()))
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(job, name=name) for name, job in beside.items()]
                while not stop.is_set():
                    await autoscaler.tick()
                    await pause(stop, config.scale_every_s)
                for task in tasks:
                    task.cancel()
        finally:
            # First, so that another autoscaler leads while these workers finish their jobs.
            with contextlib.suppress(RedisError, OSError):
                await election.resign()
            if pool is not None:
                await pool.close(config.drain_s + CLOSE_MARGIN_S)
