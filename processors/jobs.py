"""The jobs, over ports: a post's renditions and record, and its late flag. They know neither arq nor processes.

`render_pair` is one GET, one render off the loop and one PUT; the PUT makes the post ready. The index hears of it
afterwards, and its answer tells whether the world moved on meanwhile. Where it did, the stored receipt decides:

    index says    receipt in the store    then
    known         (not asked)             done
    any           gone                    the post was deleted: so is its media object
    deleted       the one rendered        its deletion is under way: the same
    any           another                 deleted and posted again: render again
    stale         the one rendered        the index missed that deletion: it is put right
    new           the one rendered        Redis had lost it and knows it again: done
    (no answer)   the one rendered        ready, but the index may still wait for it: tried again

A pair that had to wait long is first rendered without `full`, and `complete_media` writes its object whole when there
is time. The incomplete object is only ever created, never written over another, so that no worker, however late, takes
`full` away again; and `full` lies behind the other renditions, whose places and bytes are the same in both.

All jobs may run any number of times: the bytes follow from the intake object alone, the index counts a change once.
A node that dies between a deletion's tombstone and its first store request leaves a post that waits for the
tombstone's end (an hour): a deleted post that came back would be worse.
"""

import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

from redis.exceptions import RedisError

from storage import intake, keys, media
from storage.blobs import BlobExists, BlobMissing, BlobStore
from storage.index import Index, Observed
from storage.moments import DamagedMoment, Moments, NoSuchMoment
from storage.queue import Job
from storage.records import Post, accepted, flagged, late_by_ms, to_ms
from storage.zips import TAIL_BYTES, Damaged

from .metrics import Metrics
from .rendering import RenderOverdue, overdue

log = logging.getLogger("snapsurge.processors.jobs")

Outcome = Literal["ready", "rejected", "deleted"]

# A user who deletes and posts again faster than we render, three times within one job, may wait for the next try.
REPOSTS_MAX = 3


class Reposted(Exception):
    """The pair changed under every render of this job."""


# Called as `render(archive, whole=…, dear=…)`: the record and the media object that follow from an intake object.
Render = Callable[..., Awaitable[tuple[Post, bytes]]]


class Jobs:
    """The jobs of one worker. Methods raise blobs.StoreUnavailable, redis.RedisError and zips.Damaged: all ours."""

    def __init__(
        self,
        store: BlobStore,
        index: Index,
        moments: Moments,
        *,
        render: Render,
        metrics: Metrics,
        enqueue: Callable[[Sequence[Job]], Awaitable[object]],
    ) -> None:
        self._store = store
        self._index = index
        self._moments = moments
        self._render = render
        self._metrics = metrics
        self._enqueue = enqueue

    async def render_pair(
        self, moment_id: str, post_id: str, *, whole: bool = True, dear: bool = True, last: bool = False
    ) -> Outcome:
        """Make the post ready or rejected, or tidy up after its deletion; what is left out is queued for later.

        RenderDear where the pair costs more than most and may not be `dear`; RenderOverdue unless it is the `last` try.
        """
        outcome, post = await self._rendered(moment_id, post_id, whole=whole, dear=dear, last=last)
        self._metrics.posts.labels(outcome).inc()
        if post is not None:
            self._metrics.ready.observe(max(time.time() - to_ms(post.received_at) / 1000, 0))
            if outcome == "rejected":
                log.warning("post %s of moment %s is rejected: %s", post_id, moment_id, post.reason)
            if not post.complete:
                self._metrics.incomplete.inc()
                await self._enqueue([Job("complete_media", moment_id, post_id)])
        return outcome

    async def complete_media(self, moment_id: str, post_id: str, *, last: bool = False) -> Outcome:
        """Write the media object whole, as if it had never been otherwise; RenderOverdue as for `render_pair`."""
        try:
            outcome, _ = await self._rendered(moment_id, post_id, whole=True, dear=True, last=False)
        except RenderOverdue:
            if not last:
                raise
            log.warning("post %s of moment %s stays without `full`: its render used up its budget", post_id, moment_id)
            return "ready"
        return outcome

    async def flag_late(self, moment_id: str, post_id: str) -> None:
        """Tell the index whether the post was late; nothing for one that is flagged or deleted."""
        post = await self._flagged(moment_id, post_id)
        if post is not None:
            await self._index.observe([post])
            self._metrics.flagged.inc()

    async def _rendered(
        self, moment_id: str, post_id: str, *, whole: bool, dear: bool, last: bool
    ) -> tuple[Outcome, Post | None]:
        """What became of the post, and its record as stored unless it is deleted."""
        for _ in range(REPOSTS_MAX):
            try:
                archive = await self._store.read(keys.intake(moment_id, post_id))
            except BlobMissing:
                await self._store.delete(keys.media(moment_id, post_id))
                return "deleted", None
            post, body = await self._off_loop(archive, whole=whole, dear=dear, last=last)
            stored = await self._stored(post, body)
            if stored is None:  # there is an object of an earlier post, which only a whole one may replace
                whole = True
                continue
            outcome = await self._told(stored)
            if outcome is not None:
                return outcome, None if outcome == "deleted" else stored
        raise Reposted(post_id)

    async def _stored(self, post: Post, body: bytes) -> Post | None:
        """Write the media object; the record that is in it now, None where an incomplete one could not be written."""
        key = keys.media(post.moment_id, post.id)
        if post.complete:
            await self._store.replace(key, body)
            return post
        try:
            await self._store.create(key, body)
        except BlobExists:
            with contextlib.suppress(BlobMissing, Damaged):
                record = media.record_in(await self._store.read_tail(key, TAIL_BYTES))
                return record if record.request_id == post.request_id else None
            return None
        return post

    async def _off_loop(self, archive: bytes, *, whole: bool, dear: bool, last: bool) -> tuple[Post, bytes]:
        """The render; the last one that uses up its budget rejects the post."""
        try:
            return await self._render(archive, whole=whole, dear=dear)
        except RenderOverdue:
            if not last:
                raise
            return overdue(archive)

    async def _told(self, post: Post) -> Outcome | None:
        """Tell the index of a stored media object, by the table above."""
        answer: Observed | None = None
        trouble: RedisError | None = None
        try:
            (answer,) = await self._index.observe([post])
        except RedisError as error:
            trouble = error
        if answer == "known":
            return _outcome(post)
        stored = await self._stored_request_id(post)
        if stored is None or (stored == post.request_id and answer == "deleted"):
            if answer == "new":
                await self._index.forget(post.id, post.moment_id)
            await self._store.delete(keys.media(post.moment_id, post.id))
            return "deleted"
        if stored != post.request_id:
            return None
        if trouble is not None:
            raise trouble
        if answer == "stale":
            await self._index.observe([post], fresh=True)
        return _outcome(post)

    async def _stored_request_id(self, post: Post) -> str | None:
        """Which post of this user and moment the store has now, None when it has none."""
        try:
            tail = await self._store.read_tail(keys.intake(post.moment_id, post.id), TAIL_BYTES)
        except BlobMissing:
            return None
        return intake.receipt_in(tail).request_id

    async def _flagged(self, moment_id: str, post_id: str) -> Post | None:
        """The post with its flag, from Redis and the cached moment; only where they fail, from the stored receipt."""
        (post,) = await self._index.posts([post_id])
        if post is not None and post.late is not None:
            return None
        if post is not None:
            with contextlib.suppress(NoSuchMoment, DamagedMoment):
                moment = await self._moments.get(moment_id)
                late_ms = late_by_ms(post.received_at, moment.closes_at)
                return flagged(post, late_ms)
        try:
            receipt = intake.receipt_in(await self._store.read_tail(keys.intake(moment_id, post_id), TAIL_BYTES))
        except BlobMissing:
            return None
        return flagged(accepted(receipt), receipt.late_by_ms)


def _outcome(post: Post) -> Outcome:
    return "ready" if post.state == "ready" else "rejected"
