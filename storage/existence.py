"""Whether a post exists: its intake object alone decides, and only a compare-and-swap in the store changes that object.

The intake key of a post holds nothing, a pair or a tombstone. All transitions:

    nothing   -> pair        `create`: the first commit
    pair      -> tombstone   `swap`: a deletion
    tombstone -> pair        `swap`: posted again
    tombstone -> tombstone   `swap`: deleted again, which rejects uploads that began before this deletion
    pair      -> pair        `swap`: the same pair sent again, which rejects deletions that began before this upload
    pair      -> bare receipt  `swap`: the photos were kept long enough (`bare`); in all else it is a pair
    nothing   -> tombstone   `create`: a user's data is deleted, which rejects uploads that began before (`end`, `bars`)
    nothing   -> bare receipt  `create`: the store lost the pair, and its renditions are there (`restore`)
    nothing   -> tombstone   `create`: the store lost the pair, its renditions are there, and the post is deleted

Each swap names the object that it replaces by its entity tag and version (its *mark*). The media object follows the
intake object. This file does not use the index or the queue.
"""

import secrets
import time
from typing import Literal

import msgspec

from . import intake, keys, media, tombstones
from .blobs import Blob, BlobChanged, BlobExists, BlobMissing, BlobStore, Buffer, StoreUnavailable
from .records import Post, Receipt, attempt_id
from .tombstones import Tombstone
from .zips import TAIL_BYTES, Damaged

# A try fails only when it loses a race against another change of the same post, and one post has only one user.
TRIES_MAX = 8


class NoSuchPost(Exception):
    """No post has this id: it was never accepted, or it was deleted."""


class Superseded(Exception):
    """A deletion or an upload that was sent later took effect first; this request came too late and changed nothing."""


class Standing(msgspec.Struct, frozen=True):
    """What an intake key holds: a receipt (of a pair) or a tombstone; a mark with neither means a damaged object.

    `renditions`: it holds nothing, and there are renditions, so the store has lost the pair; only `end` tells.
    """

    mark: str = ""
    receipt: Receipt | None = None
    tombstone: Tombstone | None = None
    renditions: bool = False

    @property
    def decided(self) -> str:
        """The id of the latest attempt or deletion that was acknowledged with this object; empty if unknown."""
        if self.receipt is not None:
            return self.receipt.acknowledged
        return self.tombstone.deletion if self.tombstone is not None else ""


class Existence:
    """Creates and deletes the posts of one store. Every method may raise blobs.StoreUnavailable."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store

    async def look(self, moment_id: str, post_id: str) -> Standing:
        """What the intake key holds now; an empty `Standing` if it holds nothing."""
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
        """Make the post exist. Returns the stored receipt: this one, or that of the same post committed earlier.

        The same pair sent again renews the stored receipt. Superseded when the post was deleted after this upload
        began; zips.Damaged when the stored object cannot be read.
        """
        key = keys.intake(receipt.moment_id, receipt.id)
        parts = intake.pack(receipt, front, back)
        for _ in range(TRIES_MAX):
            try:
                # Without a look before it: nearly every upload is the first, and then costs this PUT alone.
                await self._store.create(key, *parts)
            except BlobExists:
                there = await self.look(receipt.moment_id, receipt.id)
            else:
                return receipt
            if not there.mark:
                continue  # what was there is gone by now: create again
            wanted = _wanted(key, receipt, there)
            unchanged = wanted is there.receipt
            if unchanged:
                return wanted  # other photos, or the same ones with a later try: nothing to renew
            if there.tombstone is not None:
                # Its deletion may have been interrupted: the old renditions must go before the post exists again.
                await self.fence(receipt.moment_id, receipt.id)
            try:
                # Each attempt writes its own id, so no two objects have the same mark: a request that is delayed, or
                # repeated by the network or a client, does not find the object that it names, and changes nothing.
                await self._store.swap(key, there.mark, *intake.pack(wanted, front, back))
            except BlobChanged:
                continue
            return wanted
        raise _changing(key)

    async def end(
        self, moment_id: str, post_id: str, deletion: str, *, known: str = "", bars: bool = False
    ) -> Standing:
        """Delete the post and its renditions, or complete an earlier deletion that was interrupted; what was there.

        NoSuchPost when there is no pair, no tombstone of a deletion later than `known`, and no renditions. Superseded
        when the pair was uploaded, first or again, after this deletion began. `bars`: where there is nothing, a
        tombstone is created, which rejects uploads that began before this deletion and are still in progress.
        """
        key = keys.intake(moment_id, post_id)
        for _ in range(TRIES_MAX):
            there = await self.look(moment_id, post_id)
            if not there.mark:
                there = Standing(renditions=await self.shows(moment_id, post_id))
            nothing = not (there.mark or bars or there.renditions)
            if nothing or (there.tombstone is not None and there.decided <= known):
                raise NoSuchPost(post_id)
            if there.tombstone is not None and there.decided >= deletion:
                break  # deleted already, perhaps by a request that was interrupted before its `fence`
            # The mark alone would not stop a process that was suspended, because it reads the current one when it
            # resumes. The ids are ordered by when the requests reached the balancer's machine (`lb/relay/lag.py`).
            if there.decided > deletion:
                raise Superseded(f"{key} was posted after this deletion began")
            body = tombstones.pack(Tombstone(deletion))
            try:
                await (self._store.swap(key, there.mark, body) if there.mark else self._store.create(key, body))
            except (BlobExists, BlobChanged):
                continue  # the next look shows whether an earlier try of this same request succeeded
            break
        else:
            raise _changing(key)
        # Before the DELETE is answered: its client must not see a picture afterwards.
        await self.fence(moment_id, post_id)
        return there

    async def fence(self, moment_id: str, post_id: str) -> bool:
        """Replace the media object by a tombstone unless the intake object is a pair; returns whether it is none."""
        key = keys.media(moment_id, post_id)
        for _ in range(TRIES_MAX):
            shown = await self._tail(key)
            # After the mark of the media object was read: if the post exists again by now, its renditions will have
            # another mark, and the swap leaves them alone.
            there = await self.look(moment_id, post_id)
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
        """Store the renditions of an attempt. Returns the record now stored, or None if the attempt no longer exists.

        An object without the `full` renditions never replaces a complete one of the same attempt.
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
            # Between reading the mark and the swap: a deletion in the meantime changes the mark. So no rendition of a
            # deleted post is stored, even by a job that was running.
            there = await self.look(post.moment_id, post.id)
            if there.receipt is None or there.receipt.attempt != post.attempt:
                return None
            try:
                if shown is not None:
                    await self._store.swap(key, shown.mark, body)
                    return post
            except BlobChanged:
                continue
        raise _changing(key)

    async def bare(self, moment_id: str, post_id: str) -> Literal["bare", "already", "unfinished", "none"]:
        """Replace the pair by its bare receipt; only for a moment that accepts no more posts. zips.Damaged.

        `unfinished`: the pair stays, because it is still needed: the post has no renditions, incomplete or damaged
        ones. All of them are read. `none`: there is no pair.
        """
        key = keys.intake(moment_id, post_id)
        for _ in range(TRIES_MAX):
            found = await self._tail(key)
            if found is None or tombstones.tombstone_in(found.body) is not None:
                return "none"
            receipt = intake.receipt_in(found.body)
            if intake.is_bare(found.body):
                return "already"
            # Every byte is compared: no photos go while their renditions are missing, incomplete or damaged.
            record = await self._verified(keys.media(moment_id, post_id))
            if record is None or record.attempt != receipt.attempt or not record.complete:
                return "unfinished"
            try:
                await self._store.swap(key, found.mark, *intake.pack_bare(receipt))
            except BlobChanged:
                continue
            return "bare"
        raise _changing(key)

    async def restore(self, receipt: Receipt) -> bool:
        """Make a post exist again whose pair the store has lost, with this receipt; whether there was nothing."""
        try:
            await self._store.create(keys.intake(receipt.moment_id, receipt.id), *intake.pack_bare(receipt))
        except BlobExists:
            return False
        return True

    async def void(self, moment_id: str, post_id: str, mark: str) -> bool:
        """Replace the damaged media object that has this mark by a tombstone, so that the post is rendered again.

        `bare` removes no photos whose renditions are damaged, so these are still there.
        """
        key, nonce = keys.media(moment_id, post_id), attempt_id(time.time_ns() // 1_000_000, secrets.token_bytes(10))
        try:
            await self._store.swap(key, mark, tombstones.pack(Tombstone(nonce)))
        except BlobChanged:
            return False
        return True

    async def clear(self, moment_id: str, post_id: str) -> None:
        """Remove a deletion's tombstones, once the moment accepts no more posts: the intake object last."""
        there = await self.look(moment_id, post_id)
        # Not earlier: while the moment accepts posts, a late `create` would succeed on the absent key.
        if there.tombstone is not None and await self.fence(moment_id, post_id):
            await self._store.delete(keys.media(moment_id, post_id))
            # Last: while it stands, an interrupted removal can be repeated, because the sweeper still finds the post.
            await self._store.delete(keys.intake(moment_id, post_id))

    async def shows(self, moment_id: str, post_id: str) -> bool:
        """Whether the post has a media object that is no tombstone."""
        shown = await self._tail(keys.media(moment_id, post_id))
        return shown is not None and _tombstone(shown) is None

    async def _verified(self, key: str) -> Post | None:
        """The record of a media object, every byte of which was compared with its digest; None if there is none."""
        try:
            return media.checked(await self._store.read(key))
        except (BlobMissing, Damaged):
            return None

    async def _tail(self, key: str) -> Blob | None:
        try:
            return await self._store.read_tail(key, TAIL_BYTES)
        except BlobMissing:
            return None


def _wanted(key: str, receipt: Receipt, there: Standing) -> Receipt:
    """The receipt to store: the new one, or the stored one, renewed or unchanged; Superseded, zips.Damaged."""
    if there.receipt is not None:
        renews = receipt.attempt > there.decided and receipt.same_photos(there.receipt)
        return msgspec.structs.replace(there.receipt, renewed=receipt.attempt) if renews else there.receipt
    if there.tombstone is None:
        raise Damaged(f"{key} cannot be read")
    # A suspended process has the current mark when it goes on, but still its old id.
    if receipt.attempt <= there.decided:
        raise Superseded(f"{key} was deleted after this upload began")
    return receipt


def _record(shown: Blob | None) -> Post | None:
    """The record of a media object; None if there is no readable one."""
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
