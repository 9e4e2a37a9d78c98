"""Removes what was kept long enough: photos as received after `intake_days`, whole moments after `moment_days`.

Photos: the pair gives way to its bare receipt, so the post and its renditions stay (existence.py). A pair whose post is
not finished is still needed, stays, and is tried again a day later. Moments: first the moment is cancelled, so that
nobody sees a part of its posts, then every object in its folders goes, then the moment itself. Which moments are due
follows from the day in their ids and two days more, because a changed moment fires up to a day after it: so they are
removed one to two days late, never early.

The work is done in steps of `BATCH` objects. Redis holds the progress of each moment, so another autoscaler goes on
where this one stopped; a Redis that lost it costs listings, nothing else. There is no step from ten minutes before a
moment until ten minutes after its window.
"""

import logging
from collections.abc import Mapping
from functools import partial
from typing import Literal

import msgspec
from redis.asyncio import Redis

from storage import keys
from storage.blobs import BlobStore
from storage.existence import Existence
from storage.keys import RETENTION_KEY
from storage.moments import DAY_MS, Moments
from storage.records import ACCEPTING_MS, to_ms
from storage.rescheduling import Rescheduling
from storage.sharded_index import ShardedIndex
from storage.together import together
from storage.tombstones import SIZE as TOMBSTONE_SIZE
from storage.zips import Damaged

log = logging.getLogger("snapsurge.processors.retention")

WIDTH = 8  # objects changed at the same time
BATCH = 256  # objects of a step
SPREADS_A_STEP = 16
PLAN_S = 600.0
QUIET_MS = 600_000
# At most so many objects a second; a moment of five million posts takes three hours.
OBJECTS_S = 500.0

What = Literal["photos", "moment"]


class Progress(msgspec.Struct, frozen=True, array_like=True):
    """How far a moment has come: spreads done, the key to continue after, pairs that stay; when to begin again."""

    spreads: int = 0
    after: str = ""
    unfinished: int = 0
    again_s: float = 0.0

    @property
    def done(self) -> bool:
        """Whether all spreads are done."""
        return self.spreads >= len(keys.SPREADS)


class Removed(msgspec.Struct, frozen=True):
    """What a step did: objects looked at, photos and objects removed, the moment that is done with it."""

    looked: int = 0
    pairs: int = 0
    objects: int = 0
    ended: str = ""


class Retention:
    """The retention of one store. Methods raise blobs.StoreUnavailable and redis.RedisError. 0 days: never."""

    def __init__(
        self, store: BlobStore, redis: Redis, *, intake_days: int, moment_days: int, shards: Mapping[str, Redis]
    ) -> None:
        self._store = store
        self._redis = redis
        self._index = ShardedIndex(redis, shards)
        self._moments = Moments(store, self._index)
        self._changes = Rescheduling(store, self._index, self._moments)
        self._existence = Existence(store)
        self._days: dict[What, int] = {"moment": moment_days, "photos": intake_days}
        self._tasks: list[tuple[What, str]] = []
        self._plan_s = 0.0

    async def step(self, now_s: float) -> Removed | None:
        """Do the next step; None when there is nothing to do now."""
        if not any(self._days.values()) or await self._is_busy(now_s):
            return None
        if now_s >= self._plan_s:
            self._tasks = await self._planned(now_s)
            self._plan_s = now_s + PLAN_S
        if not self._tasks:
            return None
        what, moment_id = self._tasks[0]
        progress = await self._progress(what, moment_id)
        removed, progress = await self._advance(what, moment_id, progress)
        known: Progress | None = progress
        if progress.done:
            self._tasks.pop(0)
            known = await self._end(what, moment_id, progress, now_s)
            removed = msgspec.structs.replace(removed, ended=moment_id)
        if known is not None:
            await self._redis.hset(RETENTION_KEY, mapping={f"{what}:{moment_id}": msgspec.json.encode(known)})  # type: ignore[misc] # redis-py's types
        return removed

    async def _is_busy(self, now_s: float) -> bool:
        """Whether a moment needs the store for itself."""
        now_ms = int(now_s * 1000)
        near = await self._moments.since(now_ms - ACCEPTING_MS, now_ms + QUIET_MS)
        return any(to_ms(one.closes_at) + QUIET_MS >= now_ms for one in near)

    async def _planned(self, now_s: float) -> list[tuple[What, str]]:
        """What is due, the oldest first; moments before photos, because they have both."""
        found: dict[str, tuple[What, str]] = {}
        async for ids in self._moments.ids():
            for moment_id in ids:
                what = _due(moment_id, self._days, now_s * 1000) if keys.is_moment_id(moment_id) else None
                if what is not None:
                    found[moment_id] = (what, moment_id)
        due = []
        ordered = sorted(found, key=keys.day_of)
        for start in range(0, len(ordered), BATCH):
            names = ordered[start : start + BATCH]
            fields = [f"{found[one][0]}:{one}" for one in names]
            for one, raw in zip(names, await self._redis.hmget(RETENTION_KEY, fields), strict=True):  # type: ignore[misc] # redis-py's types
                known = _parsed(raw)
                if not known.done or (known.unfinished and now_s >= known.again_s):
                    due.append(found[one])
        return due

    async def _progress(self, what: What, moment_id: str) -> Progress:
        known = _parsed(await self._redis.hget(RETENTION_KEY, f"{what}:{moment_id}"))  # type: ignore[misc] # redis-py's types
        return Progress() if known.done else known

    async def _advance(self, what: What, moment_id: str, progress: Progress) -> tuple[Removed, Progress]:
        """Work on up to `BATCH` objects of the next spreads."""
        if what == "moment" and progress == Progress():
            await self._changes.retire(moment_id)
        spreads, after, unfinished, removed = progress.spreads, progress.after, progress.unfinished, Removed()
        last = min(spreads + SPREADS_A_STEP, len(keys.SPREADS))
        while spreads < last and removed.looked < BATCH:
            found, ended = await self._listed(what, keys.SPREADS[spreads], moment_id, after, BATCH - removed.looked)
            if what == "photos":
                done, kept = await self._bare(moment_id, found)
                unfinished += kept
                removed = Removed(removed.looked + len(found), removed.pairs + done)
            else:
                await self._remove(found)
                removed = Removed(removed.looked + len(found), 0, removed.objects + len(found))
            spreads, after = (spreads + 1, "") if ended else (spreads, found[-1][0] if what == "photos" else "")
        return removed, Progress(spreads, after, unfinished)

    async def _listed(
        self, what: What, spread: str, moment_id: str, after: str, most: int
    ) -> tuple[list[tuple[str, int]], bool]:
        """The next objects of a spread with their sizes, and whether these are all."""
        found: list[tuple[str, int]] = []
        for kind in ("intake",) if what == "photos" else keys.KINDS:
            async for entry in self._store.list(f"{spread}/{kind}/{moment_id}/", after):
                if len(found) == most:
                    return found, False
                found.append((entry.key, entry.size))
        return found, True

    async def _bare(self, moment_id: str, found: list[tuple[str, int]]) -> tuple[int, int]:
        """Remove the photos of these posts; how many were removed, and how many are still needed."""
        results: list[str] = []
        for start in range(0, len(found), WIDTH):
            some = [partial(self._bare_one, moment_id, *one) for one in found[start : start + WIDTH]]
            results += await together(some, "retention")
        return results.count("bare"), results.count("unfinished")

    async def _bare_one(self, moment_id: str, key: str, size: int) -> str:
        post_id = keys.name_in(key)
        if not keys.is_post_id(post_id) or key != keys.intake(moment_id, post_id):
            return "none"  # not written by this program
        if size == TOMBSTONE_SIZE:
            await self._existence.clear(moment_id, post_id)  # of a deletion after the sweeps of the moment
            return "none"
        try:
            return await self._existence.bare(moment_id, post_id)
        except Damaged as error:
            log.error("%s is damaged and stays (%s): run `python -m processors verify %s`", key, error, moment_id)  # noqa: TRY400 - the key is what helps
            return "none"

    async def _remove(self, found: list[tuple[str, int]]) -> None:
        """Remove these objects, and the index entries of their posts."""
        for start in range(0, len(found), WIDTH):
            some = [partial(self._store.delete, key) for key, _ in found[start : start + WIDTH]]
            await together(some, "retention")
        await self._index.drop(sorted({keys.name_in(key) for key, _ in found}))

    async def _end(self, what: What, moment_id: str, progress: Progress, now_s: float) -> Progress | None:
        """A moment is done: its progress to remember, if any."""
        if what == "moment":
            await self._moments.remove(moment_id)
            await self._redis.hdel(RETENTION_KEY, f"moment:{moment_id}", f"photos:{moment_id}")  # type: ignore[misc] # redis-py's types
            log.info("moment %s and its posts were deleted, by the retention setting", moment_id)
            return None
        if progress.unfinished:
            log.warning(
                "%d pairs of moment %s are kept, because they have no complete renditions: see `python -m processors "
                "dead list` and `python -m processors verify %s --repair`; they are tried again in a day",
                progress.unfinished,
                moment_id,
                moment_id,
            )
        else:
            log.info("the photos of moment %s as received were deleted, by the retention setting", moment_id)
        return msgspec.structs.replace(progress, again_s=now_s + DAY_MS / 1000)


def _due(moment_id: str, days: Mapping[What, int], now_ms: float) -> What | None:
    """What of a moment was kept long enough, if anything."""
    try:
        over_ms = to_ms(keys.day_of(moment_id) + "T00:00:00Z") + 2 * DAY_MS
    except (ValueError, IndexError):
        return None  # not an id that this program made
    return next((what for what, number in days.items() if number and now_ms >= over_ms + number * DAY_MS), None)


def _parsed(raw: bytes | None) -> Progress:
    try:
        return msgspec.json.decode(raw or b"", type=Progress)
    except (ValueError, RecursionError):
        return Progress()
