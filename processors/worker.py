"""One worker process: arq's worker over our jobs, with our claim under it and our loop around it.

Kept of arq: the jobs' format and keys, its registry of functions and their context, and `run_job`, which reads a body,
runs its function and tells success, Retry and cancellation apart. Replaced: how jobs are claimed and held
(holding.py), how they end (`finish_job` says it to the holding), what is tried again (retries.py), signals. arq itself
never speaks to Redis: what `run_job` asks for at its start the claim has brought (brought.py).

SIGTERM stops the claiming, lets what runs finish within the grace, hands back what does not, and ends with 0; a second
one ends at once. A Redis that is away ends nothing. Any other error ends the process with 1, for its supervisor to
restart; its jobs are claimed elsewhere when their leases end.
"""

import asyncio
import contextlib
import logging
import os
import random
import secrets
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from arq.typing import WorkerCoroutine
from arq.worker import Retry, Worker, func
from redis.asyncio import Redis
from redis.exceptions import RedisError

import storage.config
from storage.claims import Claims
from storage.index import Index
from storage.lease import Again, Claimed, Settlement, Share
from storage.moments import Moments
from storage.opening import blob_store, queue_clients, redis_client
from storage.queue import DEAR, decode, encode
from storage.shards import Shards

from . import memory
from .brought import Brought, arguments
from .config import Config, address
from .holding import Holding
from .jobs import Jobs
from .metrics import Metrics, exposed
from .pulse import Pulse, worker_name
from .pulses import beat, end
from .rendering import Rendering, SlotTaken
from .retries import Patience, Retrying
from .stopping import pause

log = logging.getLogger("snapsurge.processors.worker")

# Retries and poison are counted by us.
_ARQ_TRIES_MAX = 1_000_000
# arq's deadline ends a job for good, so ours comes first and arq's is there for a job that ignores it.
_ARQ_TIMEOUT_MARGIN_S = 5.0

# A job as it is registered: what was claimed, then its arguments.
Run = Callable[..., Awaitable[object]]


class Stuck(Exception):
    """The process can render no more and must be replaced."""


class JobWorker(Worker):
    """arq's worker, claiming through a Holding. `runs` are the jobs by name; `stuck` tells that no more can be done."""

    def __init__(
        self,
        config: Config,
        redis: Redis,
        clients: Mapping[str, Redis],
        runs: Mapping[str, Run],
        metrics: Metrics,
        *,
        stuck: Callable[[], bool] = bool,
    ) -> None:
        super().__init__(
            [func(cast("WorkerCoroutine", self._judged(name, run)), name=name) for name, run in runs.items()],
            handle_signals=False,
            job_timeout=config.job_timeout_s + _ARQ_TIMEOUT_MARGIN_S,
            max_jobs=config.jobs_max,
            max_tries=_ARQ_TRIES_MAX,
            poll_delay=config.poll_s,
            keep_result=0,
            log_results=False,
            health_check_interval=config.pulse_s,
            job_serializer=encode,
            job_deserializer=decode,
        )
        self._name = worker_name(socket.gethostname(), os.getpid(), secrets.token_hex(4))
        self._metrics = metrics
        self._grace_s = config.drain_s
        self._stuck = stuck
        self._freed = asyncio.Event()
        self._share = Share()
        self._claimed: dict[str, Claimed] = {}
        self._judgements: dict[str, Settlement] = {}
        self._redis = redis
        self._retrying = Retrying(metrics, patience(config), random.Random())
        self._holding = Holding(
            {name: Claims(redis, config.lease_s) for name, redis in clients.items()},
            worker=self._name,
            lease_s=config.lease_s,
            metrics=metrics,
            lost=self._lost,
        )

    @property
    def pool(self) -> Any:  # noqa: ANN401 - as much of a Redis as arq's `run_job` needs
        """Not Redis: what the claim brought."""
        return Brought(self._claimed)

    async def run_until(self, stop: asyncio.Event) -> None:
        """Claim and run until told to stop, then finish what runs; Stuck when no more can be done."""
        async with self._holding, asyncio.TaskGroup() as beside:
            pulsing = beside.create_task(self._pulsing(), name="pulse")
            while not stop.is_set() and not self._stuck():
                free = 0 if self._is_dear() else self.max_jobs - len(self.tasks)
                self._freed.clear()
                claimed = await self._holding.claim(free, dear=self._share.allows(self.loop.time())) if free else []
                if any(one.queue != DEAR for one in claimed):
                    self._share.others(self.loop.time())
                for one in claimed:
                    self._start(one)
                await pause(stop if len(claimed) < free else self._freed, self.poll_delay_s)
            await self._finish_running()
            pulsing.cancel()
            with contextlib.suppress(RedisError, OSError):
                await end(self._redis, self._name)
        if self._stuck():
            raise Stuck("no render process can be started: leaving for a new worker")

    async def finish_job(self, job_id: str, finish: bool, *_: Any) -> None:  # noqa: ANN401, FBT001 - arq's
        """Settle as judged; a job that was cut off goes back as it came."""
        claimed = self._claimed[job_id]
        settlement = self._judgements.pop(job_id, None)
        if settlement is None and finish:  # arq's own deadline
            settlement = self._retrying.failed(claimed, job_id.partition(":")[0], arguments(claimed), TimeoutError())
        self._holding.settle(settlement or Again(claimed, claimed.attempts))

    async def finish_failed_job(self, job_id: str, result_data: bytes | None) -> None:  # noqa: ARG002 - arq's
        """A body that cannot be read, or a function that we do not have: kept, not dropped."""
        claimed = self._claimed[job_id]
        name = job_id.partition(":")[0]
        error = LookupError("no such job, or a body that cannot be read")
        self._holding.settle(self._retrying.given_up(claimed, name, arguments(claimed), error, reason="unreadable"))

    def _judged(self, name: str, run: Run) -> Callable[..., Awaitable[None]]:
        """The job as arq calls it: its end is judged, and arq hears only of success and Retry."""

        async def judged(ctx: dict[Any, Any], *args: str) -> None:
            claimed = self._claimed[ctx["job_id"]]

            async def job(*args: str) -> None:
                await run(claimed, *args)

            self._judgements[claimed.id] = settlement = await self._retrying.run(claimed, name, job, args)
            if isinstance(settlement, Again):
                raise Retry(defer=settlement.defer_s)

        judged.__qualname__ = name
        return judged

    def _is_dear(self) -> bool:
        """Whether a dear job has the render slot: what else there is had better be claimed by others."""
        return any(one.queue == DEAR for one in self._claimed.values())

    def _start(self, claimed: Claimed) -> None:
        began = self.loop.time()
        self._claimed[claimed.id] = claimed
        task = self.tasks[claimed.id] = self.loop.create_task(self.run_job(claimed.id, 0), name=claimed.id)

        def ended(_: object) -> None:
            del self.tasks[claimed.id], self._claimed[claimed.id]
            if claimed.queue == DEAR:
                self._share.spent(self.loop.time() - began, self.loop.time())
            self._freed.set()
            if not task.cancelled() and task.exception() is not None:
                log.error("%s ended outside its own error handling", claimed.id, exc_info=task.exception())

        task.add_done_callback(ended)

    def _lost(self, job_id: str) -> None:
        """Another worker may have it: what still runs here is a waste, and its end will be refused."""
        log.warning("%s is not ours any more: its lease ended", job_id)
        if job_id in self.job_tasks:
            self.job_tasks[job_id].cancel()

    async def _pulsing(self) -> None:
        """Tell of oneself, for as long as this worker lives."""
        while True:
            pulse = Pulse(self._metrics.jobs_done, self._metrics.busy_s, len(self.tasks))
            with contextlib.suppress(RedisError, OSError):
                await beat(self._redis, self._name, pulse, ttl_s=self.health_check_interval * 3)
            await asyncio.sleep(self.health_check_interval)

    async def _finish_running(self) -> None:
        """Wait for what runs; what is not done within the grace goes back to its queue."""
        running = list(self.tasks.values())
        if not running:
            return
        _, undone = await asyncio.wait(running, timeout=self._grace_s)
        for task in undone:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def patience(config: Config) -> Patience:
    """The settings as retrying takes them."""
    return Patience(
        floor_s=config.retry_floor_s,
        cap_s=config.retry_cap_s,
        faults_max=config.faults_max,
        outages_max=config.outages_max,
        deadline_s=config.job_timeout_s,
    )


def runs(jobs: Jobs, degrade_s: float) -> dict[str, Run]:
    """The jobs by the names that cross the queue."""

    async def render_pair(claimed: Claimed, moment_id: str, post_id: str) -> None:
        whole, dear = claimed.waited_s <= degrade_s, claimed.queue == DEAR
        await jobs.render_pair(moment_id, post_id, whole=whole, dear=dear, last=claimed.attempts.faults > 0)

    async def flag_late(_: Claimed, moment_id: str, post_id: str) -> None:
        await jobs.flag_late(moment_id, post_id)

    async def complete_media(claimed: Claimed, moment_id: str, post_id: str) -> None:
        await jobs.complete_media(moment_id, post_id, last=claimed.attempts.faults > 0)

    return {"render_pair": render_pair, "flag_late": flag_late, "complete_media": complete_media}


async def run(config: Config, storage_config: storage.config.Config, stop: asyncio.Event) -> None:
    """One worker process until `stop`; blobs.StoreUnavailable when the store cannot be opened at all."""
    memory.bound(memory.ARCHIVES_BYTES)
    metrics = Metrics()
    async with contextlib.AsyncExitStack() as stack:
        redis = await stack.enter_async_context(redis_client(storage_config))
        clients = queue_clients(storage_config)
        for client in clients.values():
            stack.push_async_callback(client.aclose)
        store = await stack.enter_async_context(blob_store(storage_config))
        await stack.enter_async_context(exposed(address(config.listen), metrics.registry))
        slot_wait_s = config.job_timeout_s - config.render_timeout_s
        try:
            rendering = await stack.enter_async_context(
                Rendering(metrics, timeout_s=config.render_timeout_s, wait_s=slot_wait_s)
            )
        except SlotTaken as error:
            raise OSError(str(error)) from error
        index = Index(redis)
        jobs = Jobs(
            store,
            index,
            Moments(store, index),
            render=rendering.render,
            metrics=metrics,
            enqueue=Shards(clients).enqueue,
        )
        worker = JobWorker(
            config, redis, clients, runs(jobs, config.degrade_s), metrics, stuck=lambda: rendering.broken
        )
        try:
            await worker.run_until(stop)
        except Stuck as error:
            raise OSError(str(error)) from error
