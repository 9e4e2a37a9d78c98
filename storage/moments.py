"""Moments: created in the store, read through Redis and a cache; immutable, so a copy is never wrong, only missing."""

import contextlib
import logging
import secrets
from base64 import b32encode
from collections.abc import Sequence

import msgspec
from cachetools import LRUCache
from redis.exceptions import RedisError

from . import keys
from .blobs import BlobMissing, BlobStore, StoreUnavailable
from .index import Index
from .records import ACCEPTING_MS, Moment, from_ms, to_ms

log = logging.getLogger("snapsurge.storage.moments")

# Moments are few: regions times days. A thousand records are a few hundred KiB.
CACHED_MAX = 1000


class NoSuchMoment(Exception):
    """There is no moment of this name, in Redis or in the store."""


class DamagedMoment(StoreUnavailable):
    """The moment's object cannot be read. Nobody is told that there is no such moment: that would be our fault."""


class Moments:
    """All moments. Methods raise blobs.StoreUnavailable when only the store could answer and does not."""

    def __init__(self, store: BlobStore, index: Index) -> None:
        self._store = store
        self._index = index
        self._cache: LRUCache[str, Moment] = LRUCache(CACHED_MAX)

    async def create(self, region: str, fires_at_ms: int, window_s: int) -> Moment:
        """A new moment, durable. Its id ends in 40 random bits: when it fires is nobody's to guess."""
        day = from_ms(fires_at_ms)[:10].replace("-", "")
        moment = Moment(
            id=f"{region}-{day}-{b32encode(secrets.token_bytes(5)).decode().lower()}",
            region=region,
            fires_at=from_ms(fires_at_ms),
            closes_at=from_ms(fires_at_ms + window_s * 1000),
            window_s=window_s,
        )
        await self._store.create(keys.moment(moment.id), msgspec.json.encode(moment))
        try:
            await self._index.put_moments([moment])
            await self._index.counts_are_complete(moment.id)
        except RedisError as error:
            log.warning("moment %s is not in the index yet: %s", moment.id, error)
        return moment

    async def get(self, moment_id: str) -> Moment:
        """The moment of this id; NoSuchMoment, DamagedMoment."""
        if moment_id in self._cache:
            return self._cache[moment_id]
        if not keys.is_moment_id(moment_id):
            raise NoSuchMoment(moment_id)
        moment = None
        with contextlib.suppress(RedisError):
            moment = await self._index.moment(moment_id)
        if moment is None:
            moment = await self._from_store(moment_id)
            with contextlib.suppress(RedisError):
                await self._index.put_moments([moment])
        self._cache[moment_id] = moment
        return moment

    async def current(self, region: str, now_ms: int) -> Moment:
        """The region's last moment that has fired and still accepts posts; NoSuchMoment. Never one to come."""
        try:
            found = await self._index.current_moment_id(region, now_ms)
        except RedisError:
            found = None
        if found is None:
            moments = await self.since(now_ms - ACCEPTING_MS)
            fired = [one for one in moments if one.region == region and to_ms(one.fires_at) <= now_ms]
            if not fired:
                raise NoSuchMoment(region)
            return fired[-1]
        return await self.get(found)

    async def since(self, since_ms: int) -> list[Moment]:
        """Moments that fire, or fired, from this time on, earliest first: from Redis if it has all, else the store."""
        ids = None
        with contextlib.suppress(RedisError):
            ids = await self._index.moment_ids(since_ms)
        moments = await self._listed(since_ms) if ids is None else await self._some(ids)
        return sorted((one for one in moments if to_ms(one.fires_at) >= since_ms), key=lambda one: one.fires_at)

    async def _listed(self, since_ms: int) -> list[Moment]:
        """Moments from the day of this time on, by the store's listing; the index has them all afterwards."""
        first_day = from_ms(since_ms)[:10].replace("-", "")
        listed = [keys.name_in(entry.key) async for entry in self._store.list(keys.MOMENTS_PREFIX)]
        # What is not named as we name them is somebody else's.
        moments = await self._some([one for one in listed if one.count("-") > 1 and one.rsplit("-", 2)[1] >= first_day])
        with contextlib.suppress(RedisError):
            await self._index.put_moments(moments, since_ms=since_ms)
        return moments

    async def _some(self, ids: Sequence[str]) -> list[Moment]:
        """Those that there are: one that cannot be read hides no other."""
        found = []
        for one in ids:
            with contextlib.suppress(NoSuchMoment, DamagedMoment):
                found.append(await self.get(one))
        return found

    async def _from_store(self, moment_id: str) -> Moment:
        try:
            return msgspec.json.decode(await self._store.read(keys.moment(moment_id)), type=Moment)
        except BlobMissing:
            raise NoSuchMoment(moment_id) from None
        except (ValueError, RecursionError) as error:
            log.error("%s is damaged: %s", keys.moment(moment_id), error)  # noqa: TRY400 - where it was read says nothing
            raise DamagedMoment(f"{keys.moment(moment_id)} cannot be read") from None
