"""storage.suitability: a store that keeps its promises passes and is left empty; each way to break one is refused."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from storage import suitability
from storage.blobs import BlobChanged, BlobExists, BlobMissing, Buffer, Entry, StoreUnavailable, StoreUnsuitable
from storage.files import FileStore

Making = Callable[..., Awaitable[None]]


class AllCreate(FileStore):
    """Ignores `If-None-Match`."""

    async def create(self, key: str, *parts: Buffer) -> None:
        """As the class says."""
        with contextlib.suppress(BlobExists):
            await super().create(key, *parts)


class AllSwap(FileStore):
    """Ignores `If-Match`."""

    async def swap(self, key: str, mark: str, *parts: Buffer) -> None:
        """As the class says."""
        with contextlib.suppress(BlobChanged):
            await super().swap(key, mark, *parts)


class LastWins(FileStore):
    """Answers one winner, and keeps another one's bytes."""

    async def create(self, key: str, *parts: Buffer) -> None:
        """As the class says."""
        await super().create(key, b"another")


class Unable(FileStore):
    """Knows no conditions, and says so."""

    async def create(self, key: str, *parts: Buffer) -> None:
        """As the class says."""
        raise StoreUnsuitable("PUT: the store answered 501 NotImplemented")


class Forgetful(FileStore):
    """Its listings come later."""

    async def list(self, prefix: str, after: str = "") -> AsyncIterator[Entry]:
        """As the class says."""
        for entry in list[Entry]():
            yield entry


class Blind(FileStore):
    """Does not find what was just written, as a member that does not see the others."""

    async def read(self, key: str) -> bytes:
        """As the class says."""
        raise BlobMissing(f"GET {key}: the store answered 404 NoSuchKey")


class Starting(FileStore):
    """Lets all racers win, the first times."""

    def __init__(self, root: Path, times: int) -> None:
        super().__init__(root)
        self.left = times * suitability.RACERS

    async def create(self, key: str, *parts: Buffer) -> None:
        """As the class says."""
        self.left -= 1
        with contextlib.suppress(*([BlobExists] if self.left >= 0 else [])):
            await super().create(key, *parts)


class Denied(FileStore):
    """May not write."""

    async def create(self, key: str, *parts: Buffer) -> None:
        """As the class says."""
        raise StoreUnavailable("PUT: the store answered 403 AccessDenied")


class Deaf(FileStore):
    """The answers of the first tries' winners are lost, and a client that repeats its PUT finds it done."""

    def __init__(self, root: Path, tries: int) -> None:
        super().__init__(root)
        self.left = tries

    async def create(self, key: str, *parts: Buffer) -> None:
        """As the class says."""
        await super().create(key, *parts)
        if self.left:
            self.left -= 1
            raise BlobExists(key)


def kept(folder: Path) -> list[Path]:
    """The objects in the store."""
    return [path for path in folder.rglob("*") if path.is_file() and "probe" in path.parts]


async def test_a_store_that_keeps_its_promises_passes(tmp_path: Path) -> None:
    """And what the test wrote is deleted."""
    async with FileStore(tmp_path) as store:
        await suitability.check(store)

    assert kept(tmp_path) == []


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (AllCreate, r"8 of 8 concurrent PUTs with If-None-Match: \* succeeded, instead of one"),
        (AllSwap, "8 of 8 concurrent PUTs with If-Match succeeded, instead of one"),
        (LastWins, r"an object is not the one whose PUT with If-None-Match: \* succeeded"),
        (Unable, "501 NotImplemented"),
        (Forgetful, "a listing lacks an object that was just written"),
        (Blind, "an object that was just written is missing"),
    ],
)
async def test_a_broken_promise_is_named(tmp_path: Path, kind: type[FileStore], why: str) -> None:
    """With the stores that are known to break it, and how to start nevertheless; nothing stays."""
    async with kind(tmp_path) as store:
        with pytest.raises(StoreUnsuitable, match=why) as refused:
            await suitability.check(store, patience_s=0.0)

    if kind is not Unable:  # which says itself what it lacks
        words = ["members", "SeaweedFS", "RustFS", "Google", "Posts are lost", "SNAPSURGE_STORAGE_PROBE=off"]
        assert sorted(words, key=str(refused.value).index) == words
    assert kept(tmp_path) == []


async def test_what_may_not_be_written_is_no_broken_promise(tmp_path: Path) -> None:
    """Missing permissions have their own words."""
    async with Denied(tmp_path) as store:
        with pytest.raises(StoreUnavailable, match="403 AccessDenied") as refused:
            await suitability.check(store)

    assert not isinstance(refused.value, StoreUnsuitable)


async def test_a_lost_answer_is_no_broken_promise(tmp_path: Path) -> None:
    """A race without a known winner is run again, so often and no more."""
    async with Deaf(tmp_path / "a", suitability.TRIES_MAX - 1) as store:
        await suitability.check(store)
    async with Deaf(tmp_path / "b", suitability.TRIES_MAX) as store:
        with pytest.raises(StoreUnavailable, match="could not be tested"):
            await suitability.check(store)


async def test_as_many_race_as_are_asked_for(tmp_path: Path) -> None:
    """Each endpoint of a store takes part."""
    async with AllCreate(tmp_path) as store:
        with pytest.raises(StoreUnsuitable, match="24 of 24 concurrent PUTs"):
            await suitability.check(store, 24, patience_s=0.0)


async def test_a_store_that_starts_is_tested_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its members do not see each other yet; each failure is told, with how long it goes on."""
    monkeypatch.setattr(suitability, "EVERY_S", 0.0)
    async with Starting(tmp_path, 3) as store:
        await suitability.check(store, patience_s=600.0)

    assert caplog.text.count("in case the store is still starting") == 3
    assert "8 of 8 concurrent PUTs" in caplog.text
    assert kept(tmp_path) == []
