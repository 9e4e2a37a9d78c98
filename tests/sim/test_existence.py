"""Uploads, deletions and renders of one post, their store requests interleaved, delayed and sent twice by a seed.

The store is one in memory, with the port's promises and the network's habits: a request may be answered late, its
answer may be lost although it was done, and any change may come once more at any time later. Whatever the order, what
was answered is true.
"""

import asyncio
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
    """Objects in a dictionary; every request takes a while, and the network is bad."""

    def __init__(self, rng: random.Random) -> None:
        self.objects: dict[str, bytes] = {}
        self._rng = rng
        self.late: list[asyncio.Task[None]] = []

    async def create(self, key: str, *parts: Buffer) -> None:
        """As the port says."""
        await self._change(key, None, b"".join(parts), BlobExists)

    async def swap(self, key: str, mark: str, *parts: Buffer) -> None:
        """As the port says; marks are made of the bytes, as S3 makes them."""
        await self._change(key, mark, b"".join(parts), BlobChanged)

    async def read(self, key: str) -> bytes:
        """As the port says."""
        await self._while()
        if key not in self.objects:
            raise BlobMissing(key)
        body = self.objects[key]
        await self._while()
        return body

    async def read_tail(self, key: str, length: int) -> Blob:
        """As the port says."""
        body = await self.read(key)
        return Blob(body[-length:], str(hash(body)))

    async def read_range(self, key: str, offset: int, length: int, mark: str = "") -> bytes:
        """Nobody here does."""
        raise NotImplementedError

    async def delete(self, key: str) -> None:
        """Nobody may while posts come and go."""
        raise AssertionError(f"DELETE {key}")

    async def list(self, prefix: str, after: str = "") -> AsyncIterator[Entry]:
        """Nobody here does."""
        raise NotImplementedError
        yield

    async def probe(self) -> None:
        """Always there."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing to close."""

    async def _change(self, key: str, mark: str | None, body: bytes, conflict: type[Exception]) -> None:
        if self._rng.random() < 0.3:
            self.late.append(asyncio.create_task(self._again(key, mark, body)))  # noqa: TID251 - awaited by `play`
        await self._while()
        lost = self._rng.random() < 0.15
        done = self._put(key, mark, body)
        await self._while()
        if lost:  # the client of the store sends it again, as `Objects.call` does
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

    # What is there, without a request.

    @property
    def posted(self) -> str | None:
        """The attempt whose pair is there."""
        body = self.objects.get(keys.intake(MOMENT, POST_ID), b"")
        return intake.receipt_in(body[-TAIL_BYTES:]).attempt if body and tombstone_in(body) is None else None

    @property
    def shown(self) -> str | None:
        """The attempt whose renditions are there."""
        body = self.objects.get(keys.media(MOMENT, POST_ID), b"")
        return media.record_in(body[-TAIL_BYTES:]).attempt if body and tombstone_in(body) is None else None


class Story:
    """One user's requests, each with the number at which it began, which is its id; what each was answered."""

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.store = rng, Memory(rng)
        self.existence = Existence(self.store)
        self.begun = 0
        self.accepted: list[str] = []
        self.replayed: list[str] = []  # uploads that were told that their pair is there already
        self.deletions: list[str] = []
        self.deleted: list[str] = []  # those that were answered
        self.shown: str | None = None  # at the last look
        self.wrong: list[str] = []

    def number(self) -> str:
        """The next id."""
        self.begun += 1
        return f"{self.begun:032}"

    async def upload(self) -> None:
        """POST, and a worker for it."""
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
        """What a job does, with the pair that it finds."""
        try:
            archive = await self.store.read(keys.intake(MOMENT, POST_ID))
        except BlobMissing:
            return
        if tombstone_in(archive) is not None:
            await self.existence.fence(MOMENT, POST_ID)
            return
        post, body = rendered(intake.unpack(archive).receipt)
        for _ in range(self.rng.randint(0, 40)):
            await asyncio.sleep(0)
        await self.existence.put_media(post, body)

    async def delete(self) -> None:
        """DELETE; when it is answered nothing of before it may be seen, then or ever after."""
        deletion = self.number()
        self.deletions.append(deletion)
        try:
            await self.existence.end(MOMENT, POST_ID, deletion)
        except (StoreUnavailable, Superseded, NoSuchPost):
            return
        self.deleted.append(deletion)
        self.look()

    def look(self) -> None:
        """Is anything to be seen that was said to be gone, or gone that nobody deleted?"""
        before, self.shown = self.shown, self.store.shown
        if before not in {None, self.shown} and not any(deletion > str(before) for deletion in self.deletions):
            self.wrong.append(f"the picture of {int(before or 0)} is gone, and nobody deleted it")
        for deletion in self.deleted:
            for what, attempt in (("pair", self.store.posted), ("picture", self.store.shown)):
                if attempt is not None and attempt < deletion:
                    self.wrong.append(f"the {what} of {int(attempt)} is there after deletion {int(deletion)}")

    async def play(self, steps: int) -> None:
        """Begin a request every few turns, then wait for all, and for all that is late."""
        async with asyncio.TaskGroup() as group:
            for _ in range(steps):
                what: Coroutine[Any, Any, None] = self.rng.choice(
                    (self.upload, self.upload, self.delete, self.render)
                )()
                group.create_task(what, name=f"request-{self.begun}")
                for _ in range(self.rng.choice((0, 5, 40, 100))):
                    await asyncio.sleep(0)
                    self.look()
        await asyncio.gather(*self.store.late)
        self.look()


def rendered(receipt: Receipt) -> tuple[Post, bytes]:
    """The record and the object."""
    post = msgspec.structs.replace(accepted(receipt), state="ready")
    return media.pack(post, {"front-thumb": media.Image(receipt.attempt.encode() * 20, 1, 1)})


@settings(deadline=None, max_examples=400)
@given(seed=st.integers(0, 2**63))
def test_what_was_answered_is_true_in_every_order(seed: int) -> None:
    """A pair that was acknowledged, first or again, is there unless a deletion began later; a deleted one is not."""

    async def story() -> Story:
        told = Story(random.Random(seed))
        await told.play(random.Random(seed).randint(2, 9))
        await told.render()  # as the sweeper sees to
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
