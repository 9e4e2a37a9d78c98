"""Changes and cancels moments that have not fired. Every change is a swap in the store, with the next revision.

A cancelled moment keeps its object, marked as cancelled: a removal has no condition, and one that is delayed could
remove a moment that has posts. Less than `LEAD_S` before a moment fires it is fixed, so that every process has its last
revision when posts come. Processes believe a copy for `moments.COPY_S`, so a change must be in store and Redis so long
before the moment fires by its former revision. If it takes longer, the former revision is put back, and the caller is
told that it was too late. Should the program end between the two, posts by the former revision keep what their receipts
say, and the sweeper includes cancelled moments: nothing accepted is lost.

A moment whose posts are about to be removed, because they were kept long enough, is cancelled too (`retire`).
"""

import contextlib
import time
from collections.abc import Callable

import msgspec
from redis.exceptions import RedisError

from . import keys
from .blobs import BlobChanged, BlobMissing, BlobStore, StoreUnavailable
from .index import Index
from .moments import COPY_S, DAY_MS, DamagedMoment, Moments, NoSuchMoment, decoded
from .records import Moment, from_ms, to_ms

LEAD_S = 2.0
TRIES_MAX = 8
RECORD_BYTES_MAX = 8 * 1024


class MomentFired(Exception):
    """The moment has fired, or is about to, and can no longer be changed."""


class Rescheduling:
    """Changes moments of one store; blobs.StoreUnavailable. `clock` gives unix seconds."""

    def __init__(
        self, store: BlobStore, index: Index, moments: Moments, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._index = index
        self._moments = moments
        self._clock = clock

    async def change(
        self, moment_id: str, *, fires_at_ms: int | None = None, window_s: int | None = None, cancelled: bool = False
    ) -> Moment:
        """Change or cancel a moment that has not fired; returns it as it is then, and durable. May be repeated.

        NoSuchMoment, MomentFired, ValueError when the new time is not possible. redis.RedisError when the change is
        durable, and a copy of the former revision may still be in Redis: the caller should repeat the call.
        """
        if not keys.is_moment_id(moment_id):
            raise NoSuchMoment(moment_id)
        for _ in range(TRIES_MAX):
            asked_s = self._clock()
            moment, mark = await self._marked(moment_id)
            changed = self._changed(moment, fires_at_ms, window_s, cancelled=cancelled)
            if changed != moment:
                try:
                    await self._store.swap(keys.moment(moment_id), mark, msgspec.json.encode(changed))
                except BlobChanged:
                    continue
                except StoreUnavailable:  # it may have been carried out, or may still be
                    await self._put_back_if_late(moment)
                    raise
            away = await self._told(changed)
            if changed != moment and await self._put_back_if_late(moment):
                raise MomentFired(moment_id)
            if away is not None:
                raise away
            return self._moments.remember(changed, asked_s)
        raise StoreUnavailable(f"{keys.moment(moment_id)} changed under {TRIES_MAX} tries")

    async def retire(self, moment_id: str) -> None:
        """Cancel a moment whose posts are about to be removed: nobody sees a part of them, and none is restored.

        A moment that is gone or damaged stays as it is. redis.RedisError after the store.
        """
        for _ in range(TRIES_MAX):
            try:
                moment, mark = await self._marked(moment_id)
            except (NoSuchMoment, DamagedMoment):
                return
            retired = msgspec.structs.replace(moment, cancelled=True, revision=moment.revision + 1)
            if not moment.cancelled:
                try:
                    await self._store.swap(keys.moment(moment_id), mark, msgspec.json.encode(retired))
                except BlobChanged:
                    continue
                await self._index.put_moments([retired])
            return
        raise StoreUnavailable(f"{keys.moment(moment_id)} changed under {TRIES_MAX} tries")

    def _changed(self, moment: Moment, fires_at_ms: int | None, window_s: int | None, *, cancelled: bool) -> Moment:
        """The next revision, or the moment itself where nothing differs."""
        if moment.cancelled:
            if cancelled:
                return moment
            raise NoSuchMoment(moment.id)
        first_ms = int((self._clock() + LEAD_S) * 1000)
        if to_ms(moment.fires_at) < first_ms:
            raise MomentFired(moment.id)
        fires_ms = to_ms(moment.fires_at) if fires_at_ms is None else fires_at_ms
        seconds = moment.window_s if window_s is None else window_s
        if fires_ms < first_ms:
            raise ValueError(f"the earliest is {LEAD_S:.0f} s from now")
        # A listing finds a moment by the day in its id, give or take one.
        if abs(fires_ms // DAY_MS - to_ms(keys.day_of(moment.id) + "T00:00:00Z") // DAY_MS) > 1:
            raise ValueError("at most a day from the day in the moment's id; cancel the moment and create another one")
        fires_at, closes_at = from_ms(fires_ms), from_ms(fires_ms + seconds * 1000)
        if (fires_at, seconds, cancelled) == (moment.fires_at, moment.window_s, False):
            return moment
        changes = {"fires_at": fires_at, "closes_at": closes_at, "window_s": seconds, "cancelled": cancelled}
        return msgspec.structs.replace(moment, **changes, revision=moment.revision + 1)

    async def _told(self, moment: Moment) -> RedisError | None:
        """Copy a revision into Redis; the failure, if it could not be."""
        try:
            await self._index.put_moments([moment])
        except RedisError as error:
            return error
        return None

    async def _put_back_if_late(self, moment: Moment) -> bool:
        """Whether nodes may open the moment by their copies of the former revision; then that one stays."""
        if self._clock() < to_ms(moment.fires_at) / 1000 - COPY_S:
            return False
        there, mark = await self._marked(moment.id)
        former = msgspec.structs.replace(moment, revision=there.revision + 1)
        with contextlib.suppress(BlobChanged):
            await self._store.swap(keys.moment(moment.id), mark, msgspec.json.encode(former))
            await self._told(former)
        return True

    async def _marked(self, moment_id: str) -> tuple[Moment, str]:
        try:
            found = await self._store.read_tail(keys.moment(moment_id), RECORD_BYTES_MAX)
        except BlobMissing:
            raise NoSuchMoment(moment_id) from None
        return decoded(moment_id, found.body), found.mark
