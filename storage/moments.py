"""Moments: created in the store, read through Redis and a cache.

A moment can be changed until it fires (rescheduling.py); from then on it is immutable. Moments are independent: two of
one region may overlap. `current` is the one that fired last; of two that fired at the same time, the one with the
greater id.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from base64 import b32encode
from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple

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
# A change (rescheduling.py) takes effect everywhere after this long.
# A process believes its copy of a moment that has not fired for so long, and one that it read after the moment fired
# for `KEPT_S`. Copies, in Redis too, give way to later revisions only.
COPY_S = 1.0
KEPT_S = 3600.0
# Later than any moment.
FOREVER_MS = to_ms("9999-01-01T00:00:00Z")


class NoSuchMoment(Exception):
    """Neither Redis nor the store has a moment with this id."""


class DamagedMoment(StoreUnavailable):
    """The moment's object cannot be read: a server error, not a moment that does not exist."""


class Copy(NamedTuple):
    """A moment as this process knows it: until when (monotonic seconds) it is believed, and whether it can change."""

    moment: Moment
    until_s: float
    final: bool


class Moments:
    """All moments. Methods raise blobs.StoreUnavailable when only the store has the answer and it is unavailable."""

    def __init__(
        self,
        store: BlobStore,
        index: Index,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._index = index
        self._clock = clock
        self._monotonic = monotonic
        self._cache: LRUCache[str, Copy] = LRUCache(CACHED_MAX)
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
            log.warning("cannot index moment %s, it is added when Redis answers: %s", moment.id, reason(error))
        return moment

    async def get(self, moment_id: str) -> Moment:
        """The moment with this id; NoSuchMoment, also when it is cancelled, DamagedMoment."""
        moment = await self.known(moment_id)
        if moment.cancelled:
            raise NoSuchMoment(moment_id)
        return moment

    async def known(self, moment_id: str) -> Moment:
        """The moment with this id, cancelled or not; NoSuchMoment, DamagedMoment."""
        copy = self._cache.get(moment_id)
        if copy is not None and self._monotonic() < copy.until_s:
            return copy.moment
        if not keys.is_moment_id(moment_id):
            raise NoSuchMoment(moment_id)
        moment, asked_s = None, self._clock()
        with contextlib.suppress(RedisError):
            moment = await self._index.moment(moment_id)
        try:
            if moment is None:
                moment = await self.stored(moment_id)
                with contextlib.suppress(RedisError):
                    await self._index.put_moments([moment])
        except NoSuchMoment:
            self._cache.pop(moment_id, None)
            raise
        except StoreUnavailable:
            if copy is None:
                raise
            return copy.moment  # as long as nobody knows better
        return self.remember(moment, asked_s)

    def remember(self, moment: Moment, asked_s: float) -> Moment:
        """Take this revision, asked for at `asked_s` (unix seconds), unless a later one is known; returns the later."""
        copy, age_s = self._cache.get(moment.id), max(self._clock() - asked_s, 0.0)
        if copy is not None and copy.moment.revision > moment.revision:
            return copy.moment
        final = asked_s >= to_ms(moment.fires_at) / 1000 + COPY_S
        # As old as the question, not as the answer.
        self._cache[moment.id] = Copy(moment, self._monotonic() + (KEPT_S if final else COPY_S) - age_s, final)
        return moment

    def _is_known(self, moment_id: str, *, final: bool) -> bool:
        """Whether the copy of this process is good enough; `final`: only if it cannot change any more."""
        copy = self._cache.get(moment_id)
        return copy is not None and self._monotonic() < copy.until_s and (copy.final or not final)

    async def current(self, region: str, now_ms: int) -> Moment:
        """The region's last moment that has fired and still accepts posts, never a future one; NoSuchMoment."""
        found, known = None, False
        with contextlib.suppress(RedisError):
            found, known = await self._index.current_moment_id(region, now_ms)
        if found is not None and known:
            return await self.get(found)
        if not known:
            for one in reversed(await self._listed(now_ms - ACCEPTING_MS, now_ms)):
                accepts = now_ms - ACCEPTING_MS <= to_ms(one.fires_at) <= now_ms
                if accepts and one.region == region and not one.cancelled:
                    return one
        raise NoSuchMoment(region)

    async def since(self, since_ms: int, until_ms: int = FOREVER_MS, *, cancelled: bool = False) -> list[Moment]:
        """The moments that fire in this time range, earliest first: from Redis if complete, else from the store.

        `cancelled`: with those that were cancelled, too late perhaps to have no posts.
        """
        ids, due = None, True
        with contextlib.suppress(RedisError):
            # Redis has the complete set while a recent listing of the store is valid. The autoscaler renews that
            # listing in time, so that uploads and phones do not wait for it.
            ids, due = await self._index.moment_ids(since_ms, until_ms)
        if ids is not None and not due:
            moments = await self._some(ids)
        else:
            try:
                moments = await self._listed(since_ms, until_ms)
            except StoreUnavailable:
                if ids is None:
                    raise
                moments = await self._some(ids)
        kept = [one for one in moments if cancelled or not one.cancelled]
        return [one for one in kept if since_ms <= to_ms(one.fires_at) <= until_ms]

    async def page(
        self, region: str | None, since_ms: int, until_ms: int, after: str, limit: int
    ) -> tuple[list[Moment], str | None]:
        """Up to `limit` moments that fire in this time range, by id, and the id to continue after; from the store."""
        found: list[Moment] = []
        async for ids in self.ids(region, since_ms, until_ms, after):
            some = [one for one in await self._some(ids) if not one.cancelled]
            found += [one for one in some if since_ms <= to_ms(one.fires_at) <= until_ms]
            found.sort(key=lambda one: one.id)
            if len(found) > limit:
                return found[:limit], found[limit - 1].id
        return found, None

    async def ids(
        self, region: str | None = None, since_ms: int = 0, until_ms: int = FOREVER_MS, after: str = ""
    ) -> AsyncIterator[list[str]]:
        """The ids of moments that may fire in this time range, in their order, `BATCH` at a time, from the store."""
        days, batch = _days(since_ms, until_ms), list[str]()
        async for entry in self._store.list(keys.MOMENTS_PREFIX, keys.moment(after) if after else ""):
            one = keys.name_in(entry.key)
            if _is_within(one, days) and region in {None, one.rsplit("-", 2)[0]}:
                batch.append(one)
            if len(batch) == BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    async def _listed(self, since_ms: int, until_ms: int) -> list[Moment]:
        """The moments on the days of this time range, from the store's listing; copies them into the index."""
        # Most moments are in the future or over, so only the days of the range are read.
        # One day more at both ends, so that queries for slightly different ranges share one listing.
        first_ms, last_ms = max(since_ms - DAY_MS, 0) // DAY_MS * DAY_MS, until_ms // DAY_MS * DAY_MS + 2 * DAY_MS - 1
        days = _day(first_ms), _day(min(last_ms, FOREVER_MS))
        async with self._listing:
            covered = self._days[0] <= days[0] and days[1] <= self._days[1]
            if not covered or self._monotonic() - self._listed_at >= LISTED_S:
                # A changed moment fires up to a day before or after the day in its id.
                around = _days(first_ms, last_ms)
                listed = [keys.name_in(entry.key) async for entry in self._store.list(keys.MOMENTS_PREFIX)]
                self._last = await self._some([one for one in listed if _is_within(one, around)], listed=True)
                self._listed_at, self._days = self._monotonic(), days
                with contextlib.suppress(RedisError):
                    await self._index.put_moments(self._last, listed=(first_ms, last_ms))
            return self._last

    async def _some(self, ids: Sequence[str], *, listed: bool = False) -> list[Moment]:
        """The readable moments among these ids, earliest first; unreadable ones are left out.

        `listed`: those that can still change are read from the store, which corrects a Redis that missed a change.
        """
        missing = [one for one in ids if keys.is_moment_id(one) and not self._is_known(one, final=listed)]
        unknown = set(missing)
        for start in range(0, len(missing), BATCH):
            asked_s = self._clock()
            with contextlib.suppress(RedisError):
                for moment in await self._index.moments(missing[start : start + BATCH]):
                    if moment is not None:
                        self.remember(moment, asked_s)
                        if self._is_known(moment.id, final=listed):
                            unknown.discard(moment.id)
        reads = [one for one in missing if one in unknown and one not in self._unreadable]
        for start in range(0, len(reads), WIDTH):
            await asyncio.gather(*(self._try(one) for one in reads[start : start + WIDTH]))
        found = [self._cache[one].moment for one in ids if one in self._cache]
        return sorted(found, key=lambda one: (one.fires_at, one.id))

    async def _try(self, moment_id: str) -> None:
        """Read the moment into the cache, or remember that it is unreadable."""
        asked_s = self._clock()
        try:
            self.remember(await self.stored(moment_id), asked_s)
        except (NoSuchMoment, DamagedMoment):
            self._unreadable[moment_id] = True
            self._cache.pop(moment_id, None)

    async def remove(self, moment_id: str) -> None:
        """Remove a moment whose posts are all removed, from store and index; redis.RedisError after the store."""
        await self._store.delete(keys.moment(moment_id))
        self._cache.pop(moment_id, None)
        for one in (self._index, *self._index.shards.values()):
            await one.remove_moment(moment_id, moment_id.rsplit("-", 2)[0])

    async def stored(self, moment_id: str) -> Moment:
        """The moment from the store itself, cancelled or not; NoSuchMoment, DamagedMoment."""
        try:
            return decoded(moment_id, await self._store.read(keys.moment(moment_id)))
        except BlobMissing:
            raise NoSuchMoment(moment_id) from None


def decoded(moment_id: str, body: bytes) -> Moment:
    """The moment in its object; DamagedMoment."""
    try:
        return msgspec.json.decode(body, type=Moment)
    except (ValueError, RecursionError) as error:
        log.error("%s is damaged: %s", keys.moment(moment_id), error)  # noqa: TRY400 - where it was read says nothing
        raise DamagedMoment(f"{keys.moment(moment_id)} cannot be read") from None


def _day(ms: int) -> str:
    """The UTC day of this time, as used in moment ids (`20260131`)."""
    return from_ms(ms)[:10].replace("-", "")


def _days(since_ms: int, until_ms: int) -> tuple[str, str]:
    """The days in the ids of moments that may fire in this time range: one more at both ends."""
    return _day(max(since_ms - DAY_MS, 0)), _day(min(until_ms + DAY_MS, FOREVER_MS))


def _is_within(moment_id: str, days: tuple[str, str]) -> bool:
    """Whether the id names one of these days; names of another form were not written by this program."""
    return moment_id.count("-") > 1 and days[0] <= moment_id.rsplit("-", 2)[1] <= days[1]
