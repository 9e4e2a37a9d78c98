"""Checks once a second, in the background, what `readiness.py` needs: the store and its free disk space.

A request for `/readyz` never waits for these checks. Each check has a timeout; a failed check means that the store did
not answer. The clock of Redis comes with the heartbeats (`heartbeat.py`).
"""

import asyncio
import logging
import os
import time
from types import TracebackType
from typing import Final, Self

from storage.blobs import BlobStore, StoreUnavailable
from storage.files import FileStore

from .readiness import Readiness, told

log = logging.getLogger("snapsurge.ingest.readiness_checks")

EVERY_S: Final = 1.0
LOOK_S: Final = 2.0  # timeout of one check; two fit into SILENT_S


class Watch:
    """`async with Watch(…)` runs the checks until the block is left."""

    def __init__(
        self,
        readiness: Readiness,
        store: BlobStore,
        *,
        every_s: float = EVERY_S,
    ) -> None:
        self._readiness, self._store, self._every_s = readiness, store, every_s
        self._said = ""
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._looking = self._tasks.create_task(self._look_at_store(), name="watch-store")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._looking.cancel()
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

    def _say(self, reasons: str) -> None:
        """Log when the node becomes ready or not ready; changed numbers alone are not logged."""
        if bool(reasons) != bool(self._said):
            if reasons:
                log.warning("not ready: %s; /readyz answers 503, balancers use other nodes until it is fixed", reasons)
            else:
                log.warning("ready again; it was not ready because: %s", self._said)
        self._said = reasons


def free_bytes(store: FileStore) -> int:
    """Free bytes in the store's folder; blocks."""
    found = os.statvfs(store.root)
    return found.f_bavail * found.f_frsize
