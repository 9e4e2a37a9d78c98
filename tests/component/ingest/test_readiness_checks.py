"""The watch sees a store go and come back."""

import asyncio
import time
from pathlib import Path

from ingest.readiness import Readiness
from ingest.readiness_checks import Watch, free_bytes
from storage.blobs import StoreUnavailable
from storage.files import FileStore

PATIENCE_S = 20


class Stubborn(FileStore):
    """A folder that answers no probe when told so."""

    away = hangs = False
    probes = 0

    async def probe(self) -> None:
        """As the folder's, or not."""
        self.probes += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.away:
            raise StoreUnavailable("away")
        await super().probe()


async def seen(store: Stubborn, count: int) -> None:
    """So many probes more have begun."""
    until = store.probes + count
    async with asyncio.timeout(PATIENCE_S):
        while store.probes < until:  # noqa: ASYNC110 - the count is the event
            await asyncio.sleep(0)


async def test_the_store_is_probed_again_and_again(tmp_path: Path) -> None:
    """Each answer counts; without answers the store is a reason. The free bytes are read after each answer."""
    room_bytes = 2**60  # more than any disk has, so that the free bytes are a reason, which names them
    readiness = Readiness(time.perf_counter() - 60, room_bytes=room_bytes)
    async with Stubborn(tmp_path) as store:
        store.away = True
        async with Watch(readiness, store, every_s=0):
            await seen(store, 2)
            assert list(readiness.reasons(time.perf_counter())) == ["store"]
            store.away = False
            await seen(store, 2)
            reasons = readiness.reasons(time.perf_counter())
        assert list(reasons) == ["disk"]
        assert 0 < float(reasons["disk"].split()[0]) * 2**20 <= free_bytes(store) + 2**30


async def test_a_probe_that_hangs_holds_nothing_up(tmp_path: Path) -> None:
    """Leaving the watch ends it."""
    async with Stubborn(tmp_path) as store, asyncio.timeout(PATIENCE_S):
        store.hangs = True
        async with Watch(Readiness(time.perf_counter(), room_bytes=1), store, every_s=0):
            await seen(store, 1)
