"""Whether a post exists: decided by its intake object alone, once, by a compare-and-swap of the store.

The intake key of a post holds nothing, a pair, or a tombstone; in this order at first, then pair and tombstone in turn:

    nothing   -> pair        `create`: the first commit
    pair      -> tombstone   `swap`: a deletion
    tombstone -> pair        `swap`: posted again
    tombstone -> tombstone   `swap`: deleted again, so that an upload which began before is too late
    pair      -> pair        `swap`: the same pair sent again, so that a deletion which began before is too late

Every one of these names what it replaces by its mark, and every attempt has an id (`records.attempt_id`) in what it
writes, so that no two objects have one mark. A request that was delayed, or that a network or a client of ours sends
again, therefore finds that object no more and changes nothing. A process that stood still reads the mark anew when it
goes on, so the ids count too: they are in the order in which the requests reached the balancer's machine
(`lb/relay/lag.py`), and a deletion replaces no younger pair, an upload no younger tombstone.

The media object follows: a tombstone of the same deletion takes its place before the DELETE is answered (`fence`), and
a worker that replaces an object asks for the intake object between reading the mark and the swap (`put_media`). So once
a post is deleted, no rendition of it, finished or under way, can be stored there.

Nothing is removed while a moment may accept posts: an absent object is what a late `create` waits for. The sweeper
removes tombstones afterwards (`clear`). This file knows no index and no queue.
"""

import secrets
import time

import msgspec

from . import intake, keys, media, tombstones
from .blobs import Blob, BlobChanged, BlobExists, BlobMissing, BlobStore, Buffer, StoreUnavailable
from .records import Post, Receipt, attempt_id
from .tombstones import Tombstone
from .zips import TAIL_BYTES, Damaged

# Each try lost a race against another change of the same post, which its one user has to make.
TRIES_MAX = 8


class NoSuchPost(Exception):
    """There is no post of this id: never accepted, or deleted."""


class Superseded(Exception):
    """A deletion or an upload that was sent later has decided: this one is too late, and changed nothing."""


class Standing(msgspec.Struct, frozen=True):
    """What an intake key holds: a pair's receipt, or a tombstone; neither, and a mark, is an object that is damaged."""

    mark: str = ""
    receipt: Receipt | None = None
    tombstone: Tombstone | None = None

    @property
    def decided(self) -> str:
        """The id of the latest attempt or deletion that was answered with what is there; empty where nobody knows."""
        if self.receipt is not None:
            return self.receipt.acknowledged
        return self.tombstone.deletion if self.tombstone is not None else ""


class Existence:
    """Posts come and go in one store. Methods raise blobs.StoreUnavailable where it does not say."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store

    async def look(self, moment_id: str, post_id: str) -> Standing:
        """What is there now; an empty standing is nothing."""
        found = await self._tail(keys.intake(moment_id, post_id))
        if found is None:
            return Standing()
        try:
            tombstone = tombstones.tombstone_in(found.body)
            receipt = None if tombstone else intake.receipt_in(found.body)
        except Damaged:
            return Standing(found.mark)
        return Standing(found.mark, receipt, tombstone)

    async def commit(self, receipt: Receipt, front: Buffer, back: Buffer) -> Receipt:
        """Make the post exist; the receipt that is stored: this one, or that of the pair which was there before.

        The same pair again renews what is there. Superseded when the post was deleted after this upload began.
        zips.Damaged when what is there cannot be read.
        """
        key = keys.intake(receipt.moment_id, receipt.id)
        parts = intake.pack(receipt, front, back)
        for _ in range(TRIES_MAX):
            try:
                await self._store.create(key, *parts)
            except BlobExists:
                there = await self.look(receipt.moment_id, receipt.id)
            else:
                return receipt
            if not there.mark:
                continue
            wanted = _wanted(key, receipt, there)
            if wanted is there.receipt:
                return wanted
            if there.tombstone is not None:
                await self.fence(receipt.moment_id, receipt.id)
            try:
                await self._store.swap(key, there.mark, *intake.pack(wanted, front, back))
            except BlobChanged:
                continue
            return wanted
        raise _changing(key)

    async def end(self, moment_id: str, post_id: str, deletion: str, *, known: str = "") -> None:
        """Make the post exist no more, and its media object show nothing; again where an earlier deletion began to.

        NoSuchPost when there is none, and no deletion but those up to `known`; Superseded when the pair there was
        posted, first or again, after this deletion began.
        """
        key = keys.intake(moment_id, post_id)
        for _ in range(TRIES_MAX):
            there = await self.look(moment_id, post_id)
            if not there.mark or (there.tombstone is not None and there.decided <= known):
                raise NoSuchPost(post_id)
            if there.tombstone is not None and there.decided >= deletion:
                break
            if there.decided > deletion:
                raise Superseded(f"{key} was posted after this deletion began")
            try:
                await self._store.swap(key, there.mark, tombstones.pack(Tombstone(deletion)))
            except BlobChanged:
                continue  # the next look tells whether it was an earlier try of this very request
            break
        else:
            raise _changing(key)
        await self.fence(moment_id, post_id)

    async def fence(self, moment_id: str, post_id: str) -> bool:
        """Make the media object show nothing, if the intake object is no pair; whether there is none."""
        key = keys.media(moment_id, post_id)
        for _ in range(TRIES_MAX):
            shown = await self._tail(key)
            there = await self.look(moment_id, post_id)  # after the mark was read: see the module's docstring
            if there.receipt is not None or (there.mark and there.tombstone is None):
                return False
            if shown is None and not there.mark:
                return True
            deletion = there.tombstone or Tombstone(attempt_id(time.time_ns() // 1_000_000, secrets.token_bytes(10)))
            try:
                if shown is None:
                    await self._store.create(key, tombstones.pack(deletion))
                elif not there.mark or _tombstone(shown) != deletion:
                    await self._store.swap(key, shown.mark, tombstones.pack(deletion))
            except (BlobExists, BlobChanged):
                continue
            return True
        raise _changing(key)

    async def put_media(self, post: Post, body: bytes) -> Post | None:
        """Show the renditions of an attempt; the record that is shown now, None where that attempt exists no more.

        An object without the `full` renditions never replaces a whole one of the same attempt.
        """
        key = keys.media(post.moment_id, post.id)
        for _ in range(TRIES_MAX):
            try:
                await self._store.create(key, body)
            except BlobExists:
                shown = await self._tail(key)
            else:
                return post
            record = _record(shown)
            if record is not None and record.attempt == post.attempt and (record.complete or not post.complete):
                return record
            there = await self.look(post.moment_id, post.id)  # after the mark was read: see the module's docstring
            if there.receipt is None or there.receipt.attempt != post.attempt:
                return None
            try:
                if shown is not None:
                    await self._store.swap(key, shown.mark, body)
                    return post
            except BlobChanged:
                continue
        raise _changing(key)

    async def clear(self, moment_id: str, post_id: str) -> None:
        """Remove what a deletion left, once nobody can post in the moment any more: the intake object last."""
        there = await self.look(moment_id, post_id)
        if there.tombstone is not None and await self.fence(moment_id, post_id):
            await self._store.delete(keys.media(moment_id, post_id))
            await self._store.delete(keys.intake(moment_id, post_id))

    async def _tail(self, key: str) -> Blob | None:
        try:
            return await self._store.read_tail(key, TAIL_BYTES)
        except BlobMissing:
            return None


def _wanted(key: str, receipt: Receipt, there: Standing) -> Receipt:
    """The receipt to store in place of what is there, or the one there; Superseded, zips.Damaged."""
    if there.receipt is not None:
        renews = receipt.attempt > there.decided and receipt.same_photos(there.receipt)
        return msgspec.structs.replace(there.receipt, renewed=receipt.attempt) if renews else there.receipt
    if there.tombstone is None:
        raise Damaged(f"{key} cannot be read")
    if receipt.attempt <= there.decided:
        raise Superseded(f"{key} was deleted after this upload began")
    return receipt


def _record(shown: Blob | None) -> Post | None:
    """The record of a media object; None where there is none that can be read."""
    try:
        return media.record_in(shown.body) if shown is not None else None
    except Damaged:
        return None


def _tombstone(shown: Blob) -> Tombstone | None:
    try:
        return tombstones.tombstone_in(shown.body)
    except Damaged:
        return None


def _changing(key: str) -> StoreUnavailable:
    return StoreUnavailable(f"{key} changed under {TRIES_MAX} tries")
