"""One worker process: arq's worker over our jobs, claiming until told to stop and finishing what runs.

What stock arq lacks, and where it stands: tries and dead letters in retries.py; here the rest. Redis errors end an
arq worker or leave its job counter wrong, so `JobWorker` lives for one stretch of a Redis that answers: on an error it
finishes what runs, and `Work` makes another one, for as long as Redis is away. SIGTERM stops the claiming, lets what
runs finish within the grace and ends with 0; a second one ends at once. Any other error ends the process with 1, for
its supervisor to restart; its jobs come back when their locks end. Claiming itself is still arq's.
"""

import asyncio
import contextlib
import logging
import os
import random
import socket
from concurrent.futures import ThreadPoolExecutor

import msgspec
from arq.connections import ArqRedis
from arq.worker import Worker, func
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.retry import Retry as RedisRetry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

import storage.config
from storage.index import Index
from storage.moments import Moments
from storage.opening import blob_store
from storage.queue import decode, encode

from . import memory
from .config import Config, address
from .decoding import LIMITS
from .images import render
from .jobs import Jobs
from .metrics import Metrics, exposed
from .pulse import Pulse, pulse_key
from .retries import DeadLetters, Patience, Retrying
from .stopping import pause

log = logging.getLogger("snapsurge.processors.worker")

# Our own policy decides; arq counts starts, kills and hand-backs included, and forgets a job that had too many.
_ARQ_TRIES_MAX = 1_000_000
# arq's deadline ends a job for good, so ours comes first and arq's is there for a job that ignores it.
_ARQ_TIMEOUT_MARGIN_S = 5.0
# How long apart are two looks at a Redis that is away: soon enough to resume at once, seldom enough to log.
_AWAY_S = 0.5


def connect(config: storage.config.Config) -> ArqRedis:
    """A Redis client as arq wants it, which rides out a lost connection; a server that stays silent is given up."""
    pool = BlockingConnectionPool.from_url(
        config.redis_url,
        max_connections=config.redis_connections_max,
        timeout=config.redis_timeout_s,
        socket_timeout=config.redis_timeout_s,
        socket_connect_timeout=config.redis_timeout_s,
        retry=RedisRetry(ExponentialBackoff(cap=0.5, base=0.05), 3),
        retry_on_error=[RedisConnectionError, RedisTimeoutError],
    )
    redis = ArqRedis(pool)
    redis.job_serializer, redis.job_deserializer = encode, decode
    return redis


class JobWorker(Worker):
    """arq's worker with our loop around its poll, our pulse for its health check, and no signal handlers."""

    def __init__(
        self,
        config: Config,
        redis: ArqRedis,
        jobs: Jobs,
        retrying: Retrying,
        metrics: Metrics,
        stop: asyncio.Event,
    ) -> None:
        timeout_s = config.job_timeout_s + _ARQ_TIMEOUT_MARGIN_S
        named = {"render_pair": jobs.render_pair, "flag_late": jobs.flag_late}
        super().__init__(
            [func(retrying.wrap(name, job), name=name) for name, job in named.items()],
            redis_pool=redis,
            handle_signals=False,
            job_timeout=timeout_s,
            max_jobs=config.jobs_max,
            max_tries=_ARQ_TRIES_MAX,
            poll_delay=config.poll_s,
            queue_read_limit=config.queue_read_max,
            keep_result=0,
            log_results=False,
            allow_abort_jobs=False,
            health_check_interval=config.pulse_s,
            health_check_key=pulse_key(socket.gethostname(), os.getpid()),
            job_serializer=encode,
            job_deserializer=decode,
        )
        self._jobs = jobs
        self._stop = stop
        self._grace_s = config.drain_s
        self._metrics = metrics
        # arq adds ten seconds; a killed worker's job need not wait longer than its rival could still be writing.
        self.in_progress_timeout_s = timeout_s + 1

    async def serve(self) -> None:
        """Claim and run until told to stop or stuck, then finish what runs; RedisError when Redis goes away."""
        try:
            while not self._stop.is_set() and not self._jobs.stuck:
                await self._poll_iteration()
                await pause(self._stop, self.poll_delay_s)
        finally:
            await self._finish_running()

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """Claim one after the other while there is room, and none after the stop."""
        for job_id in job_ids:
            if self.job_counter >= self.max_jobs or self._stop.is_set():
                return
            await super().start_jobs([job_id])

    async def record_health(self) -> None:
        """Leave the pulse, which ends by itself when the worker does."""
        now = self.loop.time()
        if now - self._last_health_check < self.health_check_interval:
            return
        self._last_health_check = now
        pulse = Pulse(self._metrics.jobs_done, self._metrics.busy_s)
        await self.pool.set(
            self.health_check_key, msgspec.msgpack.encode(pulse), px=int(self.health_check_interval * 3000)
        )

    async def _finish_running(self) -> None:
        """Wait for what runs; what is not done within the grace goes back to the queue."""
        running = list(self.tasks.values())
        if not running:
            return
        _, undone = await asyncio.wait(running, timeout=self._grace_s)
        for task in undone:
            task.cancel()
        for ended in await asyncio.gather(*running, return_exceptions=True):
            if isinstance(ended, Exception) and not isinstance(ended, RedisError):
                log.error("a job ended outside its own error handling", exc_info=ended)


class Stuck(Exception):
    """The process can render no more and must be replaced."""


class Work:
    """The worker process's life: one JobWorker after another, as Redis comes and goes."""

    def __init__(self, config: Config, redis: ArqRedis, jobs: Jobs, metrics: Metrics) -> None:
        self._config = config
        self._redis = redis
        self._jobs = jobs
        self._metrics = metrics
        patience = Patience(
            floor_s=config.retry_floor_s,
            cap_s=config.retry_cap_s,
            faults_max=config.faults_max,
            outages_max=config.outages_max,
            deadline_s=config.job_timeout_s,
        )
        self._retrying = Retrying(DeadLetters(redis), metrics, patience, random.Random())

    async def run_until(self, stop: asyncio.Event) -> None:
        """Serve the queue until told to stop; Stuck when a render does not end."""
        away = False
        while not stop.is_set():
            try:
                await self._redis.ping()
                if away:
                    log.warning("Redis is back")
                away = False
                worker = JobWorker(self._config, self._redis, self._jobs, self._retrying, self._metrics, stop)
                await worker.serve()
                if self._jobs.stuck:
                    raise Stuck("a render did not end, and its thread cannot be stopped")
            except (RedisError, OSError) as error:
                if not away:
                    log.warning("Redis is away, jobs wait for it: %s", error)
                away = True
                await pause(stop, _AWAY_S)


async def run(config: Config, storage_config: storage.config.Config, stop: asyncio.Event) -> None:
    """One worker process until `stop`; blobs.StoreUnavailable when the store cannot be opened at all."""
    memory.bound(LIMITS.decode_bytes_max)
    metrics = Metrics()
    async with contextlib.AsyncExitStack() as stack:
        redis = connect(storage_config)
        stack.push_async_callback(redis.aclose, close_connection_pool=True)
        store = await stack.enter_async_context(blob_store(storage_config))
        await stack.enter_async_context(exposed(address(config.listen), metrics.registry))
        index = Index(redis)
        jobs = Jobs(
            store,
            index,
            Moments(store, index),
            render=render,
            threads=ThreadPoolExecutor(1, thread_name_prefix="render"),
            metrics=metrics,
            render_timeout_s=config.render_timeout_s,
        )
        try:
            await Work(config, redis, jobs, metrics).run_until(stop)
        except Stuck as error:
            log.error("%s: leaving for a new process", error)  # noqa: TRY400 - where it is stuck, no stack of ours tells
            os._exit(1)  # an ordinary end would wait for that thread
