"""storage.s3.store: which answers of a store are a result, and which are a failure of the store."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from storage.blobs import BlobExists, BlobMissing, StoreUnavailable
from storage.config import AwsVariables
from storage.s3 import credentials
from storage.s3 import store as module
from storage.s3.credentials import Source
from storage.s3.signing import Keys
from storage.s3.store import S3Address, S3Store
from tests.unit.storage.s3.test_objects import OK, Store, listening
from tests.unit.storage.s3.test_remedies import answer

GONE = answer(404, "NoSuchBucket")
PAGE = b"HTTP/1.1 404 x\r\nContent-Length: 9\r\n\r\nnot found"
Call = Callable[[S3Store], Awaitable[object]]


async def listed(store: S3Store) -> list[object]:
    """A listing in pages."""
    return [entry async for entry in store.list("a/")]


async def listed_in(store: S3Store) -> list[object]:
    """A listing of folders."""
    return [entry async for entry in store.list_in("a/", ["b"], ["c"])]


CALLS: dict[str, Call] = {
    "read": lambda store: store.read("k"),
    "read_range": lambda store: store.read_range("k", 0, 1, '"e"'),
    "read_tail": lambda store: store.read_tail("k", 1),
    "create": lambda store: store.create("k", b"1"),
    "swap": lambda store: store.swap("k", '"e"', b"1"),
    "delete": lambda store: store.delete("k"),
    "list": listed,
    "list_in": listed_in,
}


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any keys."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")


@asynccontextmanager
async def answering(said: bytes) -> AsyncIterator[S3Store]:
    """A store with a bucket, whose next answer is this one."""
    async with (
        listening(Store([OK, said])) as endpoint,
        S3Store(S3Address("b", (endpoint,), "us-east-1"), attempts_max=1) as store,
    ):
        yield store


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("said", [GONE, PAGE], ids=["bucket", "page"])
async def test_a_bucket_that_is_gone_is_a_failure_and_no_missing_object(
    name: str, said: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither "the post does not exist" nor an empty listing; the log says which bucket, and what to do."""
    async with answering(said) as store:
        with pytest.raises(StoreUnavailable, match="the store answered 404"):
            await CALLS[name](store)
    assert "404" in caplog.text
    assert "restore the bucket" in caplog.text


@pytest.mark.parametrize("name", ["create", "list", "list_in"])
async def test_a_missing_object_is_a_failure_where_none_was_asked_for(name: str) -> None:
    """A listing or a new object cannot meet it: the store is at fault, and its reason is in the error."""
    async with answering(answer(404, "NoSuchKey")) as store:
        with pytest.raises(StoreUnavailable, match="404 NoSuchKey"):
            await CALLS[name](store)


@pytest.mark.parametrize("name", ["read", "read_tail", "list", "list_in", "delete"])
async def test_a_condition_that_was_not_set_cannot_fail(name: str) -> None:
    """The answer 412 to a call without a condition is the store's fault."""
    async with answering(answer(412, "PreconditionFailed")) as store:
        with pytest.raises(StoreUnavailable, match="412 PreconditionFailed"):
            await CALLS[name](store)


async def test_results_are_results(caplog: pytest.LogCaptureFixture) -> None:
    """The object is missing, exists, or was deleted already: no failure, and nothing is logged."""
    async with answering(answer(404, "NoSuchKey")) as store:
        with pytest.raises(BlobMissing):
            await store.read("k")
    async with answering(answer(404, "NoSuchKey")) as store:
        await store.delete("k")
    async with answering(answer(412, "PreconditionFailed")) as store:
        with pytest.raises(BlobExists):
            await store.create("k", b"1")
    assert not caplog.records


async def test_keys_that_cannot_be_renewed_are_a_failure_of_the_store(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the source of keys raises: uploads and jobs come back later, and the log says what to look at."""
    sources = [Keys("a", "s")]

    async def keys() -> Keys:
        if not sources:
            raise RuntimeError("the role cannot be assumed")
        return sources.pop()

    async def found(_: AwsVariables) -> tuple[Source, str]:
        return keys, ""

    monkeypatch.setattr(credentials, "found", found)
    async with answering(OK) as store:
        with pytest.raises(StoreUnavailable, match="no keys for the store: the role cannot be assumed"):
            await store.create("k", b"1")
    assert "check the source of the credentials" in caplog.text


def bare(status: int) -> bytes:
    """An answer to a HEAD."""
    return f"HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("said", "tries"),
    [([bare(403), answer(403, "AccessDenied")], 1), ([bare(501)], 1), ([bare(503)], 3)],
)
async def test_a_start_asks_again_only_a_store_that_is_away(
    said: list[bytes], tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing permissions and abilities are refused at once, with the store's word."""
    monkeypatch.setattr(module, "PAUSE_S", 0.0)
    server = Store(said * 20)
    async with listening(server) as endpoint:
        with pytest.raises(StoreUnavailable):
            await S3Store(S3Address("b", (endpoint,), "us-east-1"), attempts_max=1, examines=True).__aenter__()
    assert sum(head.startswith(b"head ") for head in server.heads) == tries
