"""One worker process: it claims jobs, runs each once, and settles it.

A job's way: claimed (holding.py), made into a call of a registered function (registry.py, the border to arq), run and
judged (retries.py), settled (holding.py).

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
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from arq.typing import WorkerCoroutine
from arq.worker import Function, func
from redis.asyncio import Redis
from redis.exceptions import RedisError

import storage.config
from storage.index import Index
from storage.moments import Moments
from storage.opening import blob_store, queue_clients, redis_client
from storage.queue.claims import Claims
from storage.queue.jobs import DEAR, ON_TIME
from storage.queue.lease import Again, Claimed, Settlement, Share
from storage.queue.shards import Shards

from . import memory
from .config import Config, address
from .holding import Holding
from .jobs import Jobs
from .metrics import Metrics, exposed
from .registry import CLAIMED, Registry
from .render.slot import Rendering, SlotTaken
from .retries import Patience, Retrying
from .scaling.presence import beat, end
from .scaling.pulse import Pulse, worker_name
from .stopping import pause

log = logging.getLogger("snapsurge.processors.worker")

# Of a pulse's period, how long it counts.
PULSE_PERIODS = 3
# What a job is taken for that a stock arq worker runs.
UNCLAIMED = Claimed("", b"", ON_TIME, "")


class Stuck(Exception):
    """The process can render no more and must be replaced."""


class JobWorker:
    """Claims jobs through a Holding and runs those of `functions`. `stuck` tells that no more can be done."""

    def __init__(
        self,
        config: Config,
        redis: Redis,
        clients: Mapping[str, Redis],
        functions: Sequence[Function],
        metrics: Metrics,
        *,
        stuck: Callable[[], bool] = bool,
    ) -> None:
        self._config = config
        self._name = worker_name(socket.gethostname(), os.getpid(), secrets.token_hex(4))
        self._metrics = metrics
        self._stuck = stuck
        self._loop = asyncio.get_running_loop()
        self._freed = asyncio.Event()
        self._share = Share()
        self._running: dict[str, tuple[Claimed, asyncio.Task[Settlement]]] = {}
        self._redis = redis
        self._registry = Registry(functions)
        self._retrying = Retrying(metrics, patience(config), random.Random())
        self._holding = Holding(
            {name: Claims(redis, config.lease_s) for name, redis in clients.items()},
            worker=self._name,
            lease_s=config.lease_s,
            metrics=metrics,
            lost=self._lost,
        )

    async def run_until(self, stop: asyncio.Event) -> None:
        """Claim and run until told to stop, then finish what runs; Stuck when no more can be done."""
        async with self._holding, asyncio.TaskGroup() as beside:
            pulsing = beside.create_task(self._pulsing(), name="pulse")
            while not stop.is_set() and not self._stuck():
                free = 0 if self._is_dear() else self._config.jobs_max - len(self._running)
                self._freed.clear()
                claimed = await self._holding.claim(free, dear=self._share.allows(self._loop.time())) if free else []
                if any(one.queue != DEAR for one in claimed):
                    self._share.others(self._loop.time())
                for one in claimed:
                    self._start(one)
                await pause(stop if len(claimed) < free else self._freed, self._config.poll_s)
            await self._finish_running()
            pulsing.cancel()
            with contextlib.suppress(RedisError, OSError):
                await end(self._redis, self._name)
        if self._stuck():
            raise Stuck("no render process can be started: leaving for a new worker")

    def _is_dear(self) -> bool:
        """Whether a dear job has the render slot: what else there is had better be claimed by others."""
        return any(claimed.queue == DEAR for claimed, _ in self._running.values())

    def _start(self, claimed: Claimed) -> None:
        began = self._loop.time()
        task = self._loop.create_task(self._run(claimed), name=claimed.id)
        self._running[claimed.id] = claimed, task

        def ended(_: object) -> None:
            del self._running[claimed.id]
            failed = not task.cancelled() and task.exception() is not None
            if task.cancelled() or failed:
                self._holding.settle(Again(claimed, claimed.attempts, self._config.retry_cap_s if failed else 0.0))
            else:
                self._holding.settle(task.result())
            if claimed.queue == DEAR:
                self._share.spent(self._loop.time() - began, self._loop.time())
            self._freed.set()
            if failed:
                log.error("%s ended outside its own error handling", claimed.id, exc_info=task.exception())

        task.add_done_callback(ended)

    async def _run(self, claimed: Claimed) -> Settlement:
        """From the claim to the settlement; a job that is cut off goes back as it came."""
        call = self._registry.call(claimed)
        return await self._retrying.run(claimed, call.name, call.run, call.args)

    def _lost(self, job_id: str) -> None:
        """Another worker may have it: what still runs here is a waste, and its end will be refused."""
        log.warning("%s is not ours any more: its lease ended", job_id)
        if job_id in self._running:
            self._running[job_id][1].cancel()

    async def _pulsing(self) -> None:
        """Tell of oneself, for as long as this worker lives."""
        while True:
            pulse = Pulse(self._metrics.jobs_done, self._metrics.busy_s, len(self._running))
            with contextlib.suppress(RedisError, OSError):
                await beat(self._redis, self._name, pulse, ttl_s=self._config.pulse_s * PULSE_PERIODS)
            await asyncio.sleep(self._config.pulse_s)

    async def _finish_running(self) -> None:
        """Wait for what runs; what is not done within the grace goes back to its queue."""
        running = [task for _, task in self._running.values()]
        if not running:
            return
        _, undone = await asyncio.wait(running, timeout=self._config.drain_s)
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


def functions(jobs: Jobs, degrade_s: float) -> list[Function]:
    """The jobs as arq registers them, by the names that cross the queue; without a claim each run is a first one."""

    async def render_pair(context: dict[Any, Any], moment_id: str, post_id: str) -> None:
        claimed = context.get(CLAIMED, UNCLAIMED)
        whole, dear = claimed.waited_s <= degrade_s, claimed.queue == DEAR
        await jobs.render_pair(moment_id, post_id, whole=whole, dear=dear, last=claimed.attempts.faults > 0)

    async def flag_late(_: dict[Any, Any], moment_id: str, post_id: str) -> None:
        await jobs.flag_late(moment_id, post_id)

    async def complete_media(context: dict[Any, Any], moment_id: str, post_id: str) -> None:
        claimed = context.get(CLAIMED, UNCLAIMED)
        await jobs.complete_media(moment_id, post_id, last=claimed.attempts.faults > 0)

    return [func(cast("WorkerCoroutine", one), name=one.__name__) for one in (render_pair, flag_late, complete_media)]


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
            config, redis, clients, functions(jobs, config.degrade_s), metrics, stuck=lambda: rendering.broken
        )
        try:
            await worker.run_until(stop)
        except Stuck as error:
            raise OSError(str(error)) from error
