"""Checks in the background what `readiness.py` needs: store and free disk once a second, Redis' clock half as often.

A request for `/readyz` never waits for these checks. Each check has a timeout. A failed check of Redis says nothing
about the clock; a failed check of the store means that the store did not answer.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from redis.asyncio import Redis
from redis.exceptions import RedisError

from storage.blobs import BlobStore, StoreUnavailable
from storage.files import FileStore

from .readiness import REDIS, Readiness, told

log = logging.getLogger("snapsurge.ingest.watching")

EVERY_S: Final = 1.0
CLOCK_PERIODS: Final = 2  # periods between two looks at Redis' clock; two looks fit into readiness.STAMPS_S
LOOK_S: Final = 2.0  # timeout of one check; two fit into SILENT_S


class Watch:
    """`async with Watch(…)` runs the checks until the block is left."""

    def __init__(
        self,
        readiness: Readiness,
        store: BlobStore,
        redis: Redis,
        *,
        every_s: float = EVERY_S,
        unix_s: Callable[[], float] = time.time,
    ) -> None:
        self._readiness, self._store, self._redis = readiness, store, redis
        self._every_s, self._unix_s = every_s, unix_s
        self._said = ""
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._looking = [
            self._tasks.create_task(self._look_at_store(), name="watch-store"),
            self._tasks.create_task(self._look_at_redis(), name="watch-redis"),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._looking:
            task.cancel()
        # Without the error, so that the caller gets the error itself and not an exception group.
        await self._tasks.__aexit__(None, None, None)

    async def _look_at_store(self) -> None:
        while True:
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._store.probe()
                    if isinstance(self._store, FileStore):
                        self._readiness.free(await asyncio.to_thread(free_bytes, self._store))
                self._readiness.answered(time.perf_counter())
            except (StoreUnavailable, TimeoutError, OSError):
                pass  # not ready once the last answer is SILENT_S old
            self._say(told(self._readiness.reasons(time.perf_counter())))
            await asyncio.sleep(self._every_s)

    async def _look_at_redis(self) -> None:
        while True:
            try:
                async with asyncio.timeout(LOOK_S):
                    seconds, micros = await self._redis.time()
                ahead_s = self._unix_s() - seconds - micros / 1e6
                self._readiness.stamped(REDIS, ahead_s, time.perf_counter())
            except (RedisError, TimeoutError, OSError):
                pass  # no statement about the clock, and Redis is not needed to be ready
            await asyncio.sleep(CLOCK_PERIODS * self._every_s)

    def _say(self, reasons: str) -> None:
        """Log when the node becomes ready or not ready; changed numbers alone are not logged."""
        if bool(reasons) != bool(self._said):
            if reasons:
                log.warning("not ready: %s; /readyz answers 503 until this is mended, so balancers use others", reasons)
            else:
                log.warning("ready again; it was not ready because: %s", self._said)
        self._said = reasons


def free_bytes(store: FileStore) -> int:
    """Free bytes in the store's folder; blocks."""
    found = os.statvfs(store.root)
    return found.f_bavail * found.f_frsize
