"""Moments: created in the store, read through Redis and a cache; immutable, so a copy can be missing but never wrong.

Most moments are in the future or over, so a query for a time range reads only the days of that range. Redis has the
complete set of moments while a recent listing of the store is valid. The autoscaler renews that listing in time, so
that uploads and phones do not wait for it. Without Redis each process lists the store itself, at most once in
`LISTED_S`.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from base64 import b32encode
from collections.abc import Callable, Sequence

import msgspec
from cachetools import LRUCache, TTLCache
from redis.exceptions import RedisError

from . import keys
from .blobs import BlobMissing, BlobStore, StoreUnavailable
from .index import Index
from .records import ACCEPTING_MS, Moment, from_ms, to_ms
from .refusals import reason

log = logging.getLogger("snapsurge.storage.moments")

# Moments are few: regions times days. Ten thousand records take a few MiB.
CACHED_MAX = 10_000
# An unreadable moment is read again after this long.
UNREADABLE_S = 60.0
# Without Redis the store is listed this often, so a moment that another process created appears this much later.
LISTED_S = 2.0
# WIDTH moments are read from the store at once; BATCH moments are read from Redis in one command.
WIDTH = 16
BATCH = 500
DAY_MS = 24 * 3600 * 1000
# Later than any moment.
FOREVER_MS = to_ms("9999-01-01T00:00:00Z")


class NoSuchMoment(Exception):
    """Neither Redis nor the store has a moment with this id."""


class DamagedMoment(StoreUnavailable):
    """The moment's object cannot be read. A server error: the client is not told that the moment does not exist."""


class Moments:
    """All moments. Methods raise blobs.StoreUnavailable when only the store has the answer and it is unavailable."""

    def __init__(self, store: BlobStore, index: Index, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._index = index
        self._monotonic = monotonic
        self._cache: LRUCache[str, Moment] = LRUCache(CACHED_MAX)
        self._unreadable: TTLCache[str, bool] = TTLCache(CACHED_MAX, UNREADABLE_S)
        self._listing = asyncio.Lock()
        self._listed_at, self._days, self._last = -LISTED_S, ("", ""), list[Moment]()

    async def create(self, region: str, fires_at_ms: int, window_s: int) -> Moment:
        """Create a moment, durable on return. Its id ends in 40 random bits, so that clients cannot guess it."""
        day = _day(fires_at_ms)
        moment = Moment(
            id=f"{region}-{day}-{b32encode(secrets.token_bytes(5)).decode().lower()}",
            region=region,
            fires_at=from_ms(fires_at_ms),
            closes_at=from_ms(fires_at_ms + window_s * 1000),
            window_s=window_s,
        )
        await self._store.create(keys.moment(moment.id), msgspec.json.encode(moment))
        self._listed_at = -LISTED_S
        try:
            await self._index.put_moments([moment])
            await self._index.counts_are_complete(moment.id)
        except RedisError as error:
            log.warning("moment %s is not in the index in Redis yet, it will be later: %s", moment.id, reason(error))
        return moment

    async def get(self, moment_id: str) -> Moment:
        """The moment with this id; NoSuchMoment, DamagedMoment."""
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
        """The region's last moment that has fired and still accepts posts, never a future one; NoSuchMoment."""
        found, known = None, False
        with contextlib.suppress(RedisError):
            found, known = await self._index.current_moment_id(region, now_ms)
        if found is not None and known:
            return await self.get(found)
        if not known:
            for one in reversed(await self._listed(now_ms - ACCEPTING_MS, now_ms)):
                if one.region == region and now_ms - ACCEPTING_MS <= to_ms(one.fires_at) <= now_ms:
                    return one
        raise NoSuchMoment(region)

    async def since(self, since_ms: int, until_ms: int = FOREVER_MS) -> list[Moment]:
        """The moments that fire in this time range, earliest first: from Redis if complete, else from the store."""
        ids, due = None, True
        with contextlib.suppress(RedisError):
            ids, due = await self._index.moment_ids(since_ms, until_ms)
        if ids is not None and not due:
            return await self._some(ids)
        try:
            moments = await self._listed(since_ms, until_ms)
        except StoreUnavailable:
            if ids is None:
                raise
            return await self._some(ids)
        return [one for one in moments if since_ms <= to_ms(one.fires_at) <= until_ms]

    async def _listed(self, since_ms: int, until_ms: int) -> list[Moment]:
        """The moments on the days of this time range, from the store's listing; copies them into the index."""
        # One day more at both ends, so that queries for slightly different ranges share one listing.
        first_ms, last_ms = max(since_ms - DAY_MS, 0) // DAY_MS * DAY_MS, until_ms // DAY_MS * DAY_MS + 2 * DAY_MS - 1
        days = _day(first_ms), _day(min(last_ms, FOREVER_MS))
        async with self._listing:
            covered = self._days[0] <= days[0] and days[1] <= self._days[1]
            if not covered or self._monotonic() - self._listed_at >= LISTED_S:
                listed = [keys.name_in(entry.key) async for entry in self._store.list(keys.MOMENTS_PREFIX)]
                # Names of another form were not written by this program.
                dated = [(one.rsplit("-", 2)[1], one) for one in listed if one.count("-") > 1]
                self._last = await self._some([one for day, one in dated if days[0] <= day <= days[1]])
                self._listed_at, self._days = self._monotonic(), days
                with contextlib.suppress(RedisError):
                    await self._index.put_moments(self._last, listed=(first_ms, last_ms))
            return self._last

    async def _some(self, ids: Sequence[str]) -> list[Moment]:
        """The readable moments among these ids, earliest first; unreadable ones are left out."""
        missing = [one for one in ids if one not in self._cache and keys.is_moment_id(one)]
        for start in range(0, len(missing), BATCH):
            batch = missing[start : start + BATCH]
            with contextlib.suppress(RedisError):
                found = await self._index.moments(batch)
                self._cache.update((one.id, one) for one in found if one is not None)
        unknown = [one for one in missing if one not in self._cache and one not in self._unreadable]
        for start in range(0, len(unknown), WIDTH):
            await asyncio.gather(*(self._try(one) for one in unknown[start : start + WIDTH]))
        return sorted((self._cache[one] for one in ids if one in self._cache), key=lambda one: (one.fires_at, one.id))

    async def _try(self, moment_id: str) -> None:
        """Read the moment into the cache, or remember that it is unreadable."""
        try:
            self._cache[moment_id] = await self._from_store(moment_id)
        except (NoSuchMoment, DamagedMoment):
            self._unreadable[moment_id] = True

    async def _from_store(self, moment_id: str) -> Moment:
        try:
            return msgspec.json.decode(await self._store.read(keys.moment(moment_id)), type=Moment)
        except BlobMissing:
            raise NoSuchMoment(moment_id) from None
        except (ValueError, RecursionError) as error:
            log.error("%s is damaged: %s", keys.moment(moment_id), error)  # noqa: TRY400 - where it was read says nothing
            raise DamagedMoment(f"{keys.moment(moment_id)} cannot be read") from None


def _day(ms: int) -> str:
    """The UTC day of this time, as used in moment ids (`20260131`)."""
    return from_ms(ms)[:10].replace("-", "")
