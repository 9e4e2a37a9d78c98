"""One worker process: it claims jobs, runs each once, and settles it.

Life of a job: claimed (consumer.py), turned into a call of a registered function (registry.py, the border to arq), run
once with its errors sorted (retries.py), settled (consumer.py).

On SIGTERM the worker claims no more jobs, waits up to `drain_s` for running jobs, returns the others to their queues
and exits with 0; a second signal ends it at once. The worker outlives a Redis outage. Any other error ends it with 1:
its supervisor restarts it, and other workers claim its jobs when their leases expire.
"""

import asyncio
import contextlib
import logging
import os
import random
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from arq.worker import Function
from redis.asyncio import Redis
from redis.exceptions import RedisError

import storage.config
from storage.moments import Moments
from storage.opening import blob_store, redis_client, shard_clients
from storage.queue.claims import Claims, Room
from storage.queue.jobs import DEAR, FLAGS
from storage.queue.lease import Again, Claimed, Settlement, Share
from storage.queue.shards import Shards, home
from storage.sharded_index import ShardedIndex

from . import memory
from .about import about_view
from .ahead import Ahead
from .batched import BatchedIndex
from .config import Config, address
from .consumer import Consumer
from .functions import functions
from .metrics import Metrics
from .post_jobs import Jobs
from .registry import Registry
from .render.slot import Rendering, SlotTaken
from .reporting import Reporting, limit_s
from .retries import Retrying, patience
from .scaling.presence import beat, end
from .scaling.pulse import Pulse, worker_name
from .scaling.targets import serving
from .spans import sending
from .stopping import pause

log = logging.getLogger("snapsurge.processors.worker")

# A pulse expires after this many periods.
PULSE_PERIODS = 3
# Flags that run at the same time, beside the jobs that need a slot: milliseconds each, and they share their calls.
FLAGS_MAX = 64


class Stuck(Exception):
    """The worker cannot start a render process any more; its supervisor must replace the worker."""


class JobWorker:
    """Claims jobs through a Consumer and runs `functions`; `stuck` returns whether the worker can no longer render."""

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
        self._awake = asyncio.Event()
        self._share = Share()
        self._running: dict[str, tuple[Claimed, asyncio.Task[Settlement]]] = {}
        self._ahead = Ahead(config.jobs_max)
        self._reporting = Reporting()
        self._redis = redis
        self._registry = Registry(functions)
        self._retrying = Retrying(
            metrics,
            patience(config),
            random.Random(),
            lambda args: f"Redis {home(args[-1] if args else '', clients)}",
            worker=self._name,
            clock=self._loop.time,
        )
        self._consumer = Consumer(
            {name: Claims(redis, config.lease_s) for name, redis in clients.items()},
            worker=self._name,
            lease_s=config.lease_s,
            metrics=metrics,
            lost=self._lost,
            wake=self._awake.set,
        )

    async def run_until(self, stop: asyncio.Event) -> None:
        """Claim and run jobs until `stop`, then finish the running ones; Stuck when the worker can no longer render."""
        async with self._consumer, asyncio.TaskGroup() as beside:
            tasks = [
                beside.create_task(self._pulsing(), name="pulse"),
                beside.create_task(self._wake_at(stop), name="wake"),
            ]
            while not stop.is_set() and not self._stuck():
                self._awake.clear()
                await pause(self._awake, await self._fill())
            self._consumer.listen(idle=False)
            for one in self._ahead.taken():
                self._consumer.settle(Again(one, one.attempts))
            self._reporting.release()
            await self._finish_running()
            for task in tasks:
                task.cancel()
            with contextlib.suppress(RedisError, OSError):
                await end(self._redis, self._name)
        if self._stuck():
            raise Stuck("cannot start a render process; exiting, so that the supervisor starts a new worker")

    async def _fill(self) -> float:
        """Start jobs that were claimed ahead, or claim; the seconds to wait for the next change, at most `poll_s`."""
        if self._retrying.renders.sick:
            return await self._fill_sick()
        # 1. Jobs that were claimed ahead go first into free slots.
        for one in self._ahead.taken(self._free()):
            self._start(one)
        free = self._free()
        if not free or self._ahead:
            self._consumer.listen(idle=False)
            return self._config.poll_s
        # 2. Claim for what is free, and under a backlog some ahead.
        room = Room(free, self._ahead.room(), self._flags_room())
        claimed = await self._consumer.claim(room, dear=self._share.allows(self._loop.time()))
        if any(one.queue != DEAR for one in claimed):
            self._share.others(self._loop.time())
        self._ahead.claimed(claimed, room)
        # 3. Flags start at once, renders in slots; the rest waits in `_ahead`.
        for one in claimed:
            if one.queue == FLAGS:
                self._start(one)
        for one in self._ahead.taken(free):
            self._start(one)
        # 4. With a free slot left there was no more to claim: the bell tells of new jobs.
        self._consumer.listen(idle=self._free() > 0)
        if not self._free():
            return self._config.poll_s
        # 5. Wait until a job is due, or an expensive one may be claimed.
        share_s = self._share.wait_s(self._loop.time())
        return min(self._consumer.due_s, share_s or self._config.poll_s, self._config.poll_s)

    async def _fill_sick(self) -> float:
        """Give back what was claimed ahead, claim flags and, after a rest, one other job; the seconds to wait."""
        for one in self._ahead.taken():
            self._consumer.settle(Again(one, one.attempts))
        self._consumer.listen(idle=False)  # the bell is for workers that can take any job
        sickness, free = self._retrying.renders, self._free()
        room = Room(sickness.room(free, self._config.jobs_max - free, self._loop.time()), 0, self._flags_room())
        if room.free or room.flags:
            for one in await self._consumer.claim(room):
                self._start(one)
        return min(sickness.wait_s(self._loop.time()) or self._config.poll_s, self._config.poll_s)

    def _flags_room(self) -> int:
        running = sum(one.queue == FLAGS for one, _ in self._running.values())
        return self._retrying.flags.room(FLAGS_MAX - running, running, self._loop.time())

    def _free(self) -> int:
        """Free slots. Flags need none; while an expensive job uses the render slot, there are none for others."""
        if any(claimed.queue == DEAR for claimed, _ in self._running.values()):
            return 0
        others = (one for one, _ in self._running.values() if one.queue != FLAGS and one.id not in self._reporting)
        return self._config.jobs_max - sum(1 for _ in others)

    async def _wake_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._awake.set()

    def _start(self, claimed: Claimed) -> None:
        began = self._loop.time()
        task = self._loop.create_task(self._run(claimed), name=claimed.id)
        self._running[claimed.id] = claimed, task

        def ended(_: object) -> None:
            del self._running[claimed.id]
            left_s = self._reporting.ended(claimed.id)
            failed = not task.cancelled() and task.exception() is not None
            if task.cancelled() or failed:
                self._consumer.settle(Again(claimed, claimed.attempts, self._config.retry_cap_s if failed else 0.0))
            else:
                self._consumer.settle(task.result())
            if claimed.queue == DEAR:
                self._share.spent(self._loop.time() - began, self._loop.time())
            elif claimed.queue != FLAGS:
                self._ahead.took(left_s - began)
            self._awake.set()
            if failed:
                log.error(
                    "bug: job %s raised outside the retry logic; it is queued again",
                    claimed.id,
                    exc_info=task.exception(),
                )

        task.add_done_callback(ended)

    async def _run(self, claimed: Claimed) -> Settlement:
        """Run a claimed job to its settlement; `_start` returns a cancelled job to its queue."""
        call = self._registry.call(claimed, partial(self._before_report, claimed))
        return await self._retrying.run(claimed, call.name, call.run, call.args)

    async def _before_report(self, claimed: Claimed) -> None:
        """Let other jobs' reports come along, while jobs that were claimed ahead wait for this one's slot."""
        if self._ahead and claimed.queue != DEAR:
            self._awake.set()
            await self._reporting.wait(claimed.id, limit_s(claimed.waited_s))
        else:
            self._reporting.release()

    def _lost(self, job_id: str) -> None:
        """Cancel a job whose lease expired: another worker may run it, and Redis would refuse our settlement."""
        log.warning("job %s: lease expired, its run here is cancelled; another worker may run it", job_id)
        if job_id in self._running:
            self._running[job_id][1].cancel()
        elif (one := self._ahead.dropped(job_id)) is not None:
            self._consumer.settle(Again(one, one.attempts))

    async def _pulsing(self) -> None:
        """Write this worker's pulse to Redis every `pulse_s`, until cancelled."""
        while True:
            held = len(self._running) + len(self._ahead)
            pulse = Pulse(self._metrics.jobs_done, self._metrics.busy_s, held)
            with contextlib.suppress(RedisError, OSError):
                workers = await beat(self._redis, self._name, pulse, ttl_s=self._config.pulse_s * PULSE_PERIODS)
                self._retrying.alone = workers <= 1
            await asyncio.sleep(self._config.pulse_s)

    async def _finish_running(self) -> None:
        """Wait up to `drain_s` for running jobs; cancel the others, which returns them to their queues."""
        running = [task for _, task in self._running.values()]
        if not running:
            return
        _, undone = await asyncio.wait(running, timeout=self._config.drain_s)
        for task in undone:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def run(config: Config, storage_config: storage.config.Config, stop: asyncio.Event) -> None:
    """Run one worker until `stop`; blobs.StoreUnavailable when the store cannot be opened at the start."""
    memory.bound(memory.ARCHIVES * config.photo_bytes_max)
    metrics = Metrics()
    async with contextlib.AsyncExitStack() as stack:
        redis = await stack.enter_async_context(redis_client(storage_config))
        clients = shard_clients(storage_config, redis)
        for client in clients.values():
            stack.push_async_callback(client.aclose)
        store = await stack.enter_async_context(blob_store(storage_config))
        process = f"{socket.gethostname()}:{os.getpid()}"
        about = about_view("worker", config, storage_config)
        listening = serving(address(config.listen), metrics.registry, redis, "worker", process=process, views=about)
        await stack.enter_async_context(listening)
        slot_wait_s = config.job_timeout_s - config.render_timeout_s
        try:
            rendering = await stack.enter_async_context(
                Rendering(
                    metrics,
                    timeout_s=config.render_timeout_s,
                    wait_s=slot_wait_s,
                    decode_bytes_max=storage_config.decode_bytes_max,
                )
            )
        except SlotTaken as error:
            raise OSError(str(error)) from error
        index = ShardedIndex(redis, clients)
        jobs = Jobs(
            store,
            await stack.enter_async_context(BatchedIndex(index)),
            Moments(store, index),
            render=rendering.render,
            metrics=metrics,
            enqueue=Shards(clients).enqueue,
            trace=stack.enter_context(sending(config.otlp_url, every=config.otlp_every, slow_s=config.drain_target_s)),
        )
        worker = JobWorker(
            config, redis, clients, functions(jobs, config.degrade_s), metrics, stuck=lambda: rendering.broken
        )
        try:
            await worker.run_until(stop)
        except Stuck as error:
            raise OSError(str(error)) from error
