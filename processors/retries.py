"""When a job that failed is tried again, and what becomes of one that is not: it is kept, never dropped.

arq runs a job again only when it raises arq's own Retry, at once unless told otherwise, and forgets every other
failure. `Retrying.tried` stands between: it gives each try a deadline, sorts what went wrong into outages (store or
Redis away, which heals) and faults (which do not heal by themselves), waits exponentially longer with full jitter
between a floor and a cap, and after the last try writes a dead letter to Redis before arq may forget the job. The
floor is there because full jitter alone spends a third of its tries within the first second of an outage.

Dead letters are a hash (`snapsurge:dead`, job id → JSON), so that one job has one letter and the sweeper can leave
dead jobs alone. This file does not know what jobs do.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from arq.typing import WorkerCoroutine
from arq.worker import Retry
from redis.asyncio import Redis
from redis.exceptions import RedisError

from storage.blobs import StoreUnavailable
from storage.records import Timestamp, from_ms

from .metrics import Metrics

log = logging.getLogger("snapsurge.processors.retries")

DEAD_KEY = "snapsurge:dead"


class Overdue(Exception):
    """One try of a job took longer than its deadline: it waited for a store or a Redis that stays silent."""


# Connections that break reach us as OSError; TimeoutError is one of its kinds.
OUTAGES: tuple[type[Exception], ...] = (StoreUnavailable, RedisError, OSError, Overdue)


class NeverEnds(Exception):
    """A job that was started time and again without an end: it takes its worker with it."""


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How often and how long apart: see config.py for the reasons."""

    floor_s: float = 0.2
    cap_s: float = 30.0
    faults_max: int = 5
    outages_max: int = 120
    deadline_s: float = 30.0


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A job that was given up, with what is needed to run it again or to see why not."""

    id: str
    name: str
    args: tuple[str, ...]
    error: str
    tries: int
    at: Timestamp


def backoff_s(tries: int, patience: Patience, rng: random.Random) -> float:
    """How long to wait after this many tries: full jitter under a bound that doubles, between floor and cap."""
    bound = min(patience.cap_s, patience.floor_s * 2.0 ** min(tries, 32))
    return max(patience.floor_s, rng.uniform(0, bound))


def is_last(error: Exception, tries: int, patience: Patience) -> bool:
    """Whether a job that failed like this after this many tries is given up."""
    return tries >= (patience.outages_max if isinstance(error, OUTAGES) else patience.faults_max)


class DeadLetters:
    """The kept jobs in one Redis. Every method may raise redis.RedisError."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def keep(self, letter: DeadLetter) -> None:
        """Write it, over an older letter of the same job."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.hset(DEAD_KEY, letter.id, msgspec.json.encode(letter).decode())
        await pipe.execute()

    async def among(self, job_ids: Sequence[str]) -> set[str]:
        """Which of these jobs are dead."""
        if not job_ids:
            return set()
        pipe = self._redis.pipeline(transaction=False)
        pipe.hmget(DEAD_KEY, list(job_ids))
        (found,) = await pipe.execute()
        return {job_id for job_id, letter in zip(job_ids, found, strict=True) if letter is not None}

    async def all(self) -> list[DeadLetter]:
        """Every letter, the oldest first."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.hvals(DEAD_KEY)
        (found,) = await pipe.execute()
        return sorted((msgspec.json.decode(one, type=DeadLetter) for one in found), key=lambda one: one.at)

    async def count(self) -> int:
        """How many there are."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.hlen(DEAD_KEY)
        return int((await pipe.execute())[0])


class Retrying:
    """Runs jobs so that arq sees only success or Retry."""

    def __init__(self, dead: DeadLetters, metrics: Metrics, patience: Patience, rng: random.Random) -> None:
        self._dead = dead
        self._metrics = metrics
        self._patience = patience
        self._rng = rng

    def wrap(self, name: str, job: Callable[..., Awaitable[object]]) -> WorkerCoroutine:
        """The job as arq calls it: with its context first."""

        async def tried(ctx: dict[Any, Any], *args: Any, **kwargs: Any) -> None:  # noqa: ANN401, ARG001 - arq's
            await self.tried(name, job, args, job_id=ctx["job_id"], tries=ctx["job_try"])

        return tried

    async def tried(
        self, name: str, job: Callable[..., Awaitable[object]], args: tuple[str, ...], *, job_id: str, tries: int
    ) -> None:
        """Run it once: done, or arq's Retry with its delay, or a dead letter. `tries` counts this one."""
        try:
            await self._within_deadline(job, args, tries)
            self._metrics.jobs_done += 1
        except Exception as error:
            self._metrics.failures.labels(name, type(error).__name__).inc()
            if is_last(error, tries, self._patience):
                await self._bury(name, args, error, job_id=job_id, tries=tries)
                return
            delay_s = backoff_s(tries, self._patience, self._rng)
            log.warning("%s failed on try %d, again in %.1f s: %r", job_id, tries, delay_s, error)
            raise Retry(defer=delay_s) from error

    async def _within_deadline(self, job: Callable[..., Awaitable[object]], args: tuple[str, ...], tries: int) -> None:
        """Our own deadline: arq's would end the job for good."""
        if tries > self._patience.outages_max:
            raise NeverEnds(f"started {tries - 1} times and ended none of them")
        deadline = asyncio.timeout(self._patience.deadline_s)
        try:
            async with deadline:
                await job(*args)
        except TimeoutError as error:
            if deadline.expired():
                raise Overdue(f"not done within {self._patience.deadline_s:g} s") from error
            raise

    async def _bury(self, name: str, args: tuple[str, ...], error: Exception, *, job_id: str, tries: int) -> None:
        at = from_ms(time.time_ns() // 1_000_000)
        letter = DeadLetter(id=job_id, name=name, args=args, error=repr(error)[:1000], tries=tries, at=at)
        try:
            await self._dead.keep(letter)
        except RedisError as unkept:
            raise Retry(defer=self._patience.cap_s) from unkept
        self._metrics.dead.labels(name).inc()
        log.error("%s is dead after %d tries, kept in %s: %r", job_id, tries, DEAD_KEY, error, exc_info=error)
