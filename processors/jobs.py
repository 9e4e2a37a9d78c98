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

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Literal, cast

import msgspec
from redis.exceptions import RedisError

from storage import intake, keys, media, tombstones
from storage.blobs import BlobMissing, BlobStore
from storage.existence import Existence
from storage.index import Index, Observed
from storage.media import Image
from storage.moments import DamagedMoment, Moments, NoSuchMoment
from storage.queue import Job
from storage.records import Post, Side, accepted, flagged, late_by_ms, to_ms

from .decoding import Undecodable
from .images import Renditions
from .metrics import Metrics

log = logging.getLogger("snapsurge.processors.jobs")

Outcome = Literal["ready", "rejected", "deleted"]

# A user who deletes and posts again faster than we render, three times within one job, may wait for the next try.
REPOSTS_MAX = 3


class Reposted(Exception):
    """The pair changed under every render of this job."""


# Called as `render(front, back)`, or with `full=False`.
Render = Callable[..., Renditions]


def finished(archive: bytes, render: Render, *, whole: bool = True) -> tuple[Post, bytes]:
    """The record and the media object that follow from an intake object; zips.Damaged when it is none of ours."""
    pair = intake.unpack(archive)
    post = flagged(accepted(pair.receipt), pair.receipt.late_by_ms)
    try:
        rendered = render(pair.front, pair.back) if whole else render(pair.front, pair.back, full=False)
    except Undecodable as error:
        return media.pack(msgspec.structs.replace(post, state="rejected", reason=error.reason), {})
    thumbhash = cast("dict[Side, str]", rendered.thumbhash)
    post = msgspec.structs.replace(post, state="ready", thumbhash=thumbhash, complete=whole)
    images = sorted(rendered.images, key=lambda one: one.name.endswith("-full"))
    return media.pack(post, {one.name: Image(one.data, one.width, one.height) for one in images})


class RenderOverdue(Exception):
    """A render took longer than any photo we accept: the photo's fault or ours, but no outage."""


class Jobs:
    """The jobs of one worker. Methods raise blobs.StoreUnavailable, redis.RedisError and zips.Damaged: all ours."""

    def __init__(
        self,
        store: BlobStore,
        index: Index,
        moments: Moments,
        *,
        render: Render,
        threads: Executor,
        metrics: Metrics,
        enqueue: Callable[[Sequence[Job]], Awaitable[object]],
        render_timeout_s: float = 20.0,
    ) -> None:
        self._store = store
        self._existence = Existence(store)
        self._index = index
        self._moments = moments
        self._render = render
        self._threads = threads
        self._metrics = metrics
        self._enqueue = enqueue
        self._render_timeout_s = render_timeout_s
        # A render cannot be stopped: from the first that was overdue on, the thread is lost and so is the process.
        self.stuck = False

    async def render_pair(self, moment_id: str, post_id: str, *, whole: bool = True) -> Outcome:
        """Make the post ready or rejected, or tidy up after its deletion; what is left out is queued for later."""
        outcome, post = await self._rendered(moment_id, post_id, whole=whole)
        self._metrics.posts.labels(outcome).inc()
        if post is not None:
            self._metrics.ready.observe(max(time.time() - to_ms(post.received_at) / 1000, 0))
            if outcome == "rejected":
                log.warning("post %s of moment %s is rejected: %s", post_id, moment_id, post.reason)
            if not post.complete:
                self._metrics.incomplete.inc()
                await self._enqueue([Job("complete_media", moment_id, post_id)])
        return outcome

    async def complete_media(self, moment_id: str, post_id: str) -> Outcome:
        """Write the media object whole, as if it had never been otherwise."""
        outcome, _ = await self._rendered(moment_id, post_id, whole=True)
        return outcome

    async def flag_late(self, moment_id: str, post_id: str) -> None:
        """Tell the index whether the post was late; nothing for one that is flagged or deleted."""
        post = await self._flagged(moment_id, post_id)
        if post is not None:
            await self._index.observe([post])
            self._metrics.flagged.inc()

    async def _rendered(self, moment_id: str, post_id: str, *, whole: bool) -> tuple[Outcome, Post | None]:
        """What became of the post, and its record as stored unless it is deleted."""
        for _ in range(REPOSTS_MAX):
            archive = await self._pair(moment_id, post_id)
            if archive is None:
                await self._existence.fence(moment_id, post_id)
                return "deleted", None
            post, body = await self._off_loop(archive, whole=whole)
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

    async def _off_loop(self, archive: bytes, *, whole: bool) -> tuple[Post, bytes]:
        """`finished` on the render thread; RenderOverdue when it, and what it waits for there, take too long."""
        rendering = asyncio.get_running_loop().run_in_executor(
            self._threads, partial(self._finished, archive, whole=whole)
        )
        done, _ = await asyncio.wait([rendering], timeout=self._render_timeout_s)
        if not done:
            self.stuck = True
            raise RenderOverdue(f"no end of a render within {self._render_timeout_s:g} s")
        return rendering.result()

    def _finished(self, archive: bytes, *, whole: bool) -> tuple[Post, bytes]:
        """`finished`, timed; runs on the render thread."""
        began = time.perf_counter()
        try:
            return finished(archive, self._render, whole=whole)
        finally:
            took = time.perf_counter() - began
            self._metrics.render.observe(took)
            self._metrics.busy_s += took

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
                await self._index.forget(post.id, post.moment_id, max(there.attempt, post.attempt))
            await self._existence.fence(post.moment_id, post.id)
            return "deleted"
        if there.attempt != post.attempt:
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
