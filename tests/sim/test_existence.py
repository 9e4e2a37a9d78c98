"""Uploads, deletions and renders of one post; a seed interleaves, delays and repeats their store requests.

The store is in memory; it keeps the promises of the port and simulates a bad network: an answer may be late, an answer
may be lost although the request was carried out, and any change may be carried out again at any later time. In every
order, the answers to the clients must be true.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Self

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import intake, keys, media
from storage.blobs import Blob, BlobChanged, BlobExists, BlobMissing, Buffer, Entry, StoreUnavailable
from storage.existence import Existence, NoSuchPost, Superseded
from storage.records import Photo, Photos, Post, Receipt, accepted
from storage.tombstones import tombstone_in
from storage.zips import TAIL_BYTES

MOMENT, USER = "eu-20260131-abcdefgh", "ann"
POST_ID = keys.post_id(MOMENT, USER)
PHOTO = Photo(sha256="0" * 64, bytes=1, width=64, height=64, format="jpeg")


class Memory:
    """A store in a dictionary with slow requests and a simulated bad network."""

    def __init__(self, rng: random.Random) -> None:
        self.objects: dict[str, bytes] = {}
        self._rng = rng
        self.late: list[asyncio.Task[None]] = []

    async def create(self, key: str, *parts: Buffer) -> None:
        """Do as the port defines."""
        await self._change(key, None, b"".join(parts), BlobExists)

    async def swap(self, key: str, mark: str, *parts: Buffer) -> None:
        """Do as the port defines; marks are digests of the bytes, as in S3."""
        await self._change(key, mark, b"".join(parts), BlobChanged)

    async def read(self, key: str) -> bytes:
        """Do as the port defines."""
        await self._while()
        if key not in self.objects:
            raise BlobMissing(key)
        body = self.objects[key]
        await self._while()
        return body

    async def read_tail(self, key: str, length: int) -> Blob:
        """Do as the port defines."""
        body = await self.read(key)
        return Blob(body[-length:], str(hash(body)))

    async def read_range(self, key: str, offset: int, length: int, mark: str = "") -> bytes:
        """Not used by this test."""
        raise NotImplementedError

    async def delete(self, key: str) -> None:
        """Not allowed while posts are created and deleted."""
        raise AssertionError(f"DELETE {key}")

    async def list(self, prefix: str, after: str = "") -> AsyncIterator[Entry]:
        """Not used by this test."""
        raise NotImplementedError
        yield

    async def probe(self) -> None:
        """Do nothing: this store is always available."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Do nothing: this store holds no resources."""

    async def _change(self, key: str, mark: str | None, body: bytes, conflict: type[Exception]) -> None:
        if self._rng.random() < 0.3:
            self.late.append(asyncio.create_task(self._again(key, mark, body)))  # noqa: TID251 - awaited by `play`
        await self._while()
        lost = self._rng.random() < 0.15
        done = self._put(key, mark, body)
        await self._while()
        if lost:  # the store's client retries, as `Objects.call` does
            done = self._put(key, mark, body)
            await self._while()
        if not done:
            raise conflict(key)

    async def _again(self, key: str, mark: str | None, body: bytes) -> None:
        for _ in range(self._rng.randint(1, 60)):
            await asyncio.sleep(0)
        self._put(key, mark, body)

    def _put(self, key: str, mark: str | None, body: bytes) -> bool:
        there = self.objects.get(key)
        if (None if there is None else str(hash(there))) != mark:
            return False
        self.objects[key] = body
        return True

    async def _while(self) -> None:
        turns = self._rng.randint(0, 200) if self._rng.random() < 0.1 else self._rng.randint(0, 3)
        for _ in range(turns):
            await asyncio.sleep(0)

    # The store's content, read without a request.

    @property
    def posted(self) -> str | None:
        """The attempt whose pair is stored."""
        body = self.objects.get(keys.intake(MOMENT, POST_ID), b"")
        return intake.receipt_in(body[-TAIL_BYTES:]).attempt if body and tombstone_in(body) is None else None

    @property
    def shown(self) -> str | None:
        """The attempt whose renditions are stored."""
        body = self.objects.get(keys.media(MOMENT, POST_ID), b"")
        return media.record_in(body[-TAIL_BYTES:]).attempt if body and tombstone_in(body) is None else None


class Story:
    """One user's requests and their answers; a request's id is the number at which it began."""

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.store = rng, Memory(rng)
        self.existence = Existence(self.store)
        self.begun = 0
        self.accepted: list[str] = []
        self.replayed: list[str] = []  # uploads that were answered that their pair is already stored
        self.deletions: list[str] = []
        self.deleted: list[str] = []  # deletions that were answered
        self.shown: str | None = None  # the result of the last `look`
        self.wrong: list[str] = []

    def number(self) -> str:
        """The next id."""
        self.begun += 1
        return f"{self.begun:032}"

    async def upload(self) -> None:
        """Upload a pair, then render it as a worker does."""
        receipt = Receipt(
            id=POST_ID,
            moment_id=MOMENT,
            user_id=USER,
            received_at="2026-01-31T12:00:00.000Z",
            closes_at="2026-01-31T12:02:00.000Z",
            request_id="the client's own",
            attempt=self.number(),
            photos=Photos(front=PHOTO, back=PHOTO),
        )
        try:
            stored = await self.existence.commit(receipt, b"front", b"back")
        except (StoreUnavailable, Superseded):
            return
        (self.accepted if stored.attempt == receipt.attempt else self.replayed).append(receipt.attempt)
        await self.render()

    async def render(self) -> None:
        """Render the pair that is stored now, as a job does."""
        try:
            archive = await self.store.read(keys.intake(MOMENT, POST_ID))
        except BlobMissing:
            return
        if tombstone_in(archive) is not None:
            await self.existence.fence(MOMENT, POST_ID)
            return
        if intake.is_bare(archive):
            return
        post, body = rendered(intake.unpack(archive).receipt)
        for _ in range(self.rng.randint(0, 40)):
            await asyncio.sleep(0)
        await self.existence.put_media(post, body)

    async def delete(self) -> None:
        """Delete the post; from its answer on, nothing of an earlier attempt may be visible."""
        deletion = self.number()
        self.deletions.append(deletion)
        try:
            await self.existence.end(MOMENT, POST_ID, deletion)
        except (StoreUnavailable, Superseded, NoSuchPost):
            return
        self.deleted.append(deletion)
        self.look()

    async def erase(self) -> None:
        """Delete all that the user sent before, uploads in progress included."""
        deletion = self.number()
        self.deletions.append(deletion)
        try:
            await self.existence.end(MOMENT, POST_ID, deletion, bars=True)
        except (StoreUnavailable, Superseded):
            return
        self.deleted.append(deletion)
        self.look()

    async def bare(self) -> None:
        """Remove the photos of a finished post, as retention does."""
        with contextlib.suppress(StoreUnavailable):
            await self.existence.bare(MOMENT, POST_ID)

    def look(self) -> None:
        """Check that no deleted attempt is visible, and that nothing has vanished without a deletion."""
        before, self.shown = self.shown, self.store.shown
        if before not in {None, self.shown} and not any(deletion > str(before) for deletion in self.deletions):
            self.wrong.append(f"the picture of {int(before or 0)} is gone, and nobody deleted it")
        for deletion in self.deleted:
            for what, attempt in (("pair", self.store.posted), ("picture", self.store.shown)):
                if attempt is not None and attempt < deletion:
                    self.wrong.append(f"the {what} of {int(attempt)} is there after deletion {int(deletion)}")

    async def play(self, steps: int) -> None:
        """Begin a request every few turns of the event loop, then wait for all requests and all late repetitions."""
        async with asyncio.TaskGroup() as group:
            for _ in range(steps):
                what: Coroutine[Any, Any, None] = self.rng.choice(
                    (self.upload, self.upload, self.delete, self.render, self.erase, self.bare)
                )()
                group.create_task(what, name=f"request-{self.begun}")
                for _ in range(self.rng.choice((0, 5, 40, 100))):
                    await asyncio.sleep(0)
                    self.look()
        await asyncio.gather(*self.store.late)
        self.look()


def rendered(receipt: Receipt) -> tuple[Post, bytes]:
    """The record and the media object that a render of this receipt stores."""
    post = msgspec.structs.replace(accepted(receipt), state="ready")
    return media.pack(post, {"front-thumb": media.Image(receipt.attempt.encode() * 20, 1, 1)})


@settings(deadline=None, max_examples=400)
@given(seed=st.integers(0, 2**63))
def test_what_was_answered_is_true_in_every_order(seed: int) -> None:
    """An acknowledged pair is stored unless a deletion began later; a deleted pair is gone."""

    async def story() -> Story:
        told = Story(random.Random(seed))
        await told.play(random.Random(seed).randint(2, 9))
        await told.render()  # as the sweeper would queue it
        told.look()
        return told

    told = asyncio.run(story())
    posted = told.store.posted
    assert told.wrong == []
    for attempt in told.accepted:
        assert posted == attempt or any(deletion > attempt for deletion in told.deletions)
    for attempt in told.replayed:
        assert posted is not None or any(deletion > attempt for deletion in told.deletions)
    assert told.store.shown == posted
