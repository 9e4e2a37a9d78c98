"""The jobs: render a pair into a media object, complete a media object, set the late flag. No arq, no processes.

`render_pair` is one GET, one render in the render process and one PUT; the PUT makes the post ready. Then the job
reports the post to the index, and `_told` decides what follows.

A pair that waited long in the queue is first rendered without `full`; `complete_media` adds `full` later.

Jobs are idempotent: the bytes depend on the intake object alone, and the index counts each change once.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, Protocol

import msgspec
from redis.exceptions import RedisError

from storage import keys, media, tombstones
from storage.blobs import BlobMissing, BlobStore
from storage.existence import Existence
from storage.index import Observed
from storage.moments import DamagedMoment, Moments, NoSuchMoment
from storage.queue.jobs import Job
from storage.records import Moment, Post, Times, accepted, flagged, late_by_ms, to_ms
from storage.zips import TAIL_BYTES, Damaged

from .metrics import Metrics
from .render.slot import RenderOverdue
from .retries import OfThePost
from .runs import UNKNOWN, Run, overdue, ready

log = logging.getLogger("snapsurge.processors.post_jobs")

Outcome = Literal["ready", "rejected", "deleted"]

# When a user deletes and posts again this many times during one job, the job fails and is retried later.
REPOSTS_MAX = 3


class Misread(OSError):
    """The intake object could not be read, and then it could: an outage of this process or of the network."""


class Reposted(OfThePost):
    """The user replaced the pair during every render of this job."""


# Called as `render(archive, full=…, dear=…, run=…)`; returns the record and the media object of an intake object.
Render = Callable[..., Awaitable[tuple[Post, bytes]]]
Reporting = Callable[[], Awaitable[None]]


class PostIndex(Protocol):
    """What is needed of the index; `batched.BatchedIndex` has it."""

    async def post(self, post_id: str, /) -> Post | None:
        """The post's record; None if the index does not have the post."""
        ...

    async def proof(self, post_id: str, /) -> str:
        """A proof of the post's Redis; see `Index.proof`."""
        ...

    async def observe(self, post: Post, proof: str = "", /) -> Observed:
        """Report the post; see `Index.observing`."""
        ...


class Jobs:
    """The jobs of one worker. Methods raise blobs.StoreUnavailable, redis.RedisError, zips.Damaged.

    A bad photo raises nothing: its post is rejected.
    """

    def __init__(
        self,
        store: BlobStore,
        index: PostIndex,
        moments: Moments,
        *,
        render: Render,
        metrics: Metrics,
        enqueue: Callable[[Sequence[Job]], Awaitable[object]],
        trace: Callable[[Post], None] = lambda _: None,
    ) -> None:
        self._trace = trace
        self._store = store
        self._existence = Existence(store)
        self._index = index
        self._moments = moments
        self._render = render
        self._metrics = metrics
        self._enqueue = enqueue
        # The flags of a batch need the same moment: one of them reads it, the others wait, and go on all at once.
        self._reading: dict[str, asyncio.Event] = {}

    async def render_pair(
        self,
        moment_id: str,
        post_id: str,
        *,
        full: bool = True,
        dear: bool = True,
        last: bool = False,
        run: Run = UNKNOWN,
        reporting: Reporting | None = None,
    ) -> Outcome:
        """Make the post ready or rejected, or clean up after its deletion; without `full`, queue `complete_media`.

        `reporting` is awaited before the report to the index, when the media object is stored.
        RenderDear when the pair is expensive and `dear` is false. RenderOverdue when the render used up its budget;
        on the `last` try this rejects the post instead.
        """
        outcome, post = await self._rendered(
            moment_id, post_id, full=full, dear=dear, last=last, run=run, reporting=reporting
        )
        self._metrics.posts.labels(outcome).inc()
        if post is not None:
            self._metrics.ready.observe(max(time.time() - to_ms(post.received_at) / 1000, 0))
            self._trace(post)
            if outcome == "rejected":
                log.warning("post %s of moment %s is rejected: %s", post_id, moment_id, post.reason)
            if not post.complete:
                self._metrics.incomplete.inc()
                await self._enqueue([Job("complete_media", moment_id, post_id)])
        return outcome

    async def complete_media(self, moment_id: str, post_id: str, *, last: bool = False) -> Outcome:
        """Replace an incomplete media object by the complete one.

        RenderOverdue when the render used up its budget; on the `last` try this leaves the post without `full` instead.
        """
        try:
            run = Run(kept=await self._times(moment_id, post_id))
            outcome, _ = await self._rendered(moment_id, post_id, full=True, dear=True, last=False, run=run)
        except RenderOverdue:
            if not last:
                raise
            log.warning("post %s of moment %s keeps no `full`: its render exceeded the CPU budget", post_id, moment_id)
            return "ready"
        return outcome

    async def flag_late(self, moment_id: str, post_id: str, *, reporting: Reporting | None = None) -> None:
        """Report to the index whether the post was late; nothing to do when it is flagged already or deleted.

        From Redis and the cached moment; where these lack the post or the moment, from the stored receipt.
        """
        post = await self._index.post(post_id)
        if post is not None and post.late is not None:
            return
        if post is not None:
            post = await self._flagged(post)
            if post is not None and reporting:
                await reporting()
        if post is None or await self._index.observe(post) == "unproven":
            proof = await self._index.proof(post_id)
            receipt = (await self._existence.look(moment_id, post_id)).receipt
            if receipt is None:
                return
            await self._prove(flagged(accepted(receipt), receipt.late_by_ms), proof)
        self._metrics.flagged.inc()

    async def _rendered(
        self,
        moment_id: str,
        post_id: str,
        *,
        full: bool,
        dear: bool,
        last: bool,
        run: Run,
        reporting: Reporting | None = None,
    ) -> tuple[Outcome, Post | None]:
        """Render and store the post; its outcome, and its stored record unless the post was deleted."""
        for _ in range(REPOSTS_MAX):
            archive = await self._pair(moment_id, post_id)
            if archive is None:
                if (await self._existence.look(moment_id, post_id)).tombstone is not None:
                    await self._existence.fence(moment_id, post_id)
                return "deleted", None
            try:
                post, body = await self._in_child(archive, full=full, dear=dear, last=last, run=run)
            except Damaged:
                # The store checks length and checksum of each read; this is about what came of it in this process.
                if await self._pair(moment_id, post_id) == archive:
                    raise
                raise Misread(f"the intake object of post {post_id} was read in two ways") from None
            # Keeps a complete object that is there, so a delayed worker cannot remove `full`.
            stored = await self._existence.put_media(post, body)
            if stored is not None:
                stored = ready(post, time.time_ns() // 1_000_000) if stored is post else await self._known(stored)
            del archive, body  # their bytes are not kept while the report waits for others
            if stored is not None and reporting:
                await reporting()
            outcome = await self._told(stored) if stored is not None else None
            if outcome is not None:
                return outcome, None if outcome == "deleted" else stored
        raise Reposted(post_id)

    async def _pair(self, moment_id: str, post_id: str) -> bytes | None:
        """The intake object; None when it is missing or a tombstone."""
        try:
            archive = await self._store.read(keys.intake(moment_id, post_id))
        except BlobMissing:
            return None
        return archive if tombstones.tombstone_in(archive) is None else None

    async def _known(self, stored: Post) -> Post:
        """A record that an earlier run stored, with the time at which it was ready, if the index knows it."""
        with contextlib.suppress(RedisError):
            known = await self._index.post(stored.id)
            if known is not None and msgspec.structs.replace(known.times, ready_ms=None) == stored.times:
                return msgspec.structs.replace(stored, times=known.times)
        return stored

    async def _times(self, moment_id: str, post_id: str) -> Times | None:
        """The times of a finished record, from the index or else the store; None where there are none."""
        known = await self._index.post(post_id)
        if known is None or known.times.rendered_ms is None:
            try:
                known = media.record_in((await self._store.read_tail(keys.media(moment_id, post_id), TAIL_BYTES)).body)
            except (BlobMissing, Damaged):
                return None
        return known.times if known.times.rendered_ms is not None else None

    async def _in_child(self, archive: bytes, *, full: bool, dear: bool, last: bool, run: Run) -> tuple[Post, bytes]:
        """Render in the render process; on the last try, a render that uses up its budget rejects the post."""
        try:
            return await self._render(archive, full=full, dear=dear, run=run)
        except RenderOverdue:
            if not last:
                raise
            return overdue(archive, run, time.time_ns() // 1_000_000)

    # The index's answer and, unless that is `known`, the intake object decide:
    # index answers   intake object           result
    # known           (not read)              done
    # any             a tombstone, or none    the post was deleted meanwhile: fence its media object (existence.py)
    # any             another pair            the post was deleted and posted again: render again
    # (no answer)     the pair rendered       the post is ready, but the index may not know it: retry the job
    # unproven        the pair rendered       Redis lost the post: report it with a proof of before this reading; done
    # any other       the pair rendered       done
    async def _told(self, post: Post) -> Outcome | None:
        """Report a stored media object to the index and decide by the table above; None: render again."""
        proof = ""
        trouble: RedisError | None = None
        try:
            answer = await self._index.observe(post)
            if answer == "known":
                return _outcome(post)
            # Only now, so that reports to a Redis that lost nothing cost it no more. Before the look below: what is
            # deleted after that is known in this life of Redis.
            if answer == "unproven":
                proof = await self._index.proof(post.id)
        except RedisError as error:
            trouble = error
        there = await self._existence.look(post.moment_id, post.id)
        if there.receipt is None and (there.tombstone is not None or not there.mark):
            await self._existence.fence(post.moment_id, post.id)
            return "deleted"
        if there.receipt is None or there.receipt.attempt != post.attempt:
            return None
        # The post is ready, but the index may not know it: the job is tried again.
        if trouble is not None:
            try:
                raise trouble
            finally:
                del trouble  # causes.py
        await self._prove(post, proof)
        return _outcome(post)

    async def _prove(self, post: Post, proof: str) -> None:
        """Report a post that was read from the store after this proof; redis.RedisError if the proof is not good."""
        if proof and await self._index.observe(post, proof) == "unproven":
            raise RedisError("Redis lost its data while the post was read, or the store took too long")

    async def _flagged(self, post: Post) -> Post | None:
        """A post that the index has, with its late flag; None when there is no such moment."""
        with contextlib.suppress(NoSuchMoment, DamagedMoment):
            moment = await self._moment(post.moment_id)
            return flagged(post, late_by_ms(post.received_at, moment.closes_at))
        return None

    async def _moment(self, moment_id: str) -> Moment:
        if reading := self._reading.get(moment_id):
            await reading.wait()
            return await self._moments.get(moment_id)
        reading = self._reading[moment_id] = asyncio.Event()
        try:
            return await self._moments.get(moment_id)
        finally:
            del self._reading[moment_id]
            reading.set()


def _outcome(post: Post) -> Outcome:
    return "ready" if post.state == "ready" else "rejected"
