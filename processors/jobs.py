"""The jobs, over ports: a post's renditions and record, and its late flag. They know neither arq nor processes.

`render_pair` is one GET, one render off the loop and one PUT; the PUT makes the post ready. The index hears of it
afterwards, and its answer tells whether the world moved on meanwhile. Where it did, the intake object decides:

    index says    intake object           then
    known         (not asked)             done
    any           a tombstone, or none    the post was deleted: its media object shows nothing (existence.py)
    any           another pair            deleted and posted again: render again
    (no answer)   the pair rendered       ready, but the index may still wait for it: tried again
    any other     the pair rendered       Redis had lost it and knows it again, or will: done

A pair that had to wait long is first rendered without `full`, and `complete_media` writes its object whole when there
is time. The incomplete object never replaces a whole one, so that no worker, however late, takes `full` away again; and
`full` lies behind the other renditions, whose places and bytes are the same in both.

All jobs may run any number of times: the bytes follow from the intake object alone, the index counts a change once.
"""

import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

from redis.exceptions import RedisError

from storage import keys, tombstones
from storage.blobs import BlobMissing, BlobStore
from storage.existence import Existence
from storage.index import Index, Observed
from storage.moments import DamagedMoment, Moments, NoSuchMoment
from storage.queue.jobs import Job
from storage.records import Post, accepted, flagged, late_by_ms, to_ms

from .metrics import Metrics
from .render.slot import RenderOverdue, overdue

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
        self._existence = Existence(store)
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
            archive = await self._pair(moment_id, post_id)
            if archive is None:
                await self._existence.fence(moment_id, post_id)
                return "deleted", None
            post, body = await self._off_loop(archive, whole=whole, dear=dear, last=last)
            stored = await self._existence.put_media(post, body)
            outcome = await self._told(stored) if stored is not None else None
            if outcome is not None:
                return outcome, None if outcome == "deleted" else stored
        raise Reposted(post_id)

    async def _pair(self, moment_id: str, post_id: str) -> bytes | None:
        """The intake object as long as it is a pair."""
        try:
            archive = await self._store.read(keys.intake(moment_id, post_id))
        except BlobMissing:
            return None
        return archive if tombstones.tombstone_in(archive) is None else None

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
        there = await self._existence.look(post.moment_id, post.id)
        if there.receipt is None and (there.tombstone is not None or not there.mark):
            if answer == "new":
                await self._index.forget(post.id, post.moment_id, max(there.decided, post.attempt))
            await self._existence.fence(post.moment_id, post.id)
            return "deleted"
        if there.receipt is None or there.receipt.attempt != post.attempt:
            return None
        if trouble is not None:
            raise trouble
        return _outcome(post)

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
        receipt = (await self._existence.look(moment_id, post_id)).receipt
        return flagged(accepted(receipt), receipt.late_by_ms) if receipt is not None else None


def _outcome(post: Post) -> Outcome:
    return "ready" if post.state == "ready" else "rejected"
