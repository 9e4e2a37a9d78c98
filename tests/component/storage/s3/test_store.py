"""The S3 store's own promises on a real MinIO: what goes over the wire, what a broken connection means, addresses."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aioboto3
import pytest

from storage.blobs import BlobChanged, BlobExists, BlobMissing, StoreUnavailable
from storage.s3 import store as module
from storage.s3.store import S3Address, S3Store
from tests.faults.proxy import FaultProxy, Toxic
from tests.faults.toxics import Lost

CHUNK = 65536


def library(url: str) -> Any:
    """An operator's client of the same store, for what the port does not offer."""
    place = S3Address.parse(url)
    return aioboto3.Session().client("s3", region_name=place.region, endpoint_url=place.endpoints[0])


class Relay:
    """Stands between client and server, keeps what was said, and can swallow answers or break connections."""

    def __init__(self, endpoint: str) -> None:
        self._behind = urlsplit(endpoint)
        self.heads: list[bytes] = []
        self.requests: list[bytes] = []
        self.answers: list[int] = []
        self.swallow = 0
        self._serving: set[asyncio.Task[None] | None] = set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        """The endpoint to use in place of the real one."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield "http://127.0.0.1:{1}".format(*server.sockets[0].getsockname())
        finally:
            server.close()
            await asyncio.gather(*(task for task in self._serving if task))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.add(asyncio.current_task())
        behind_reader, behind_writer = await asyncio.open_connection(self._behind.hostname, self._behind.port)
        try:
            async with asyncio.TaskGroup() as group:
                forth = group.create_task(self._forth(reader, behind_writer))
                await self._back(behind_reader, writer)
                forth.cancel()
        finally:
            writer.close()
            behind_writer.close()

    async def _forth(self, reader: asyncio.StreamReader, behind: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            if data.startswith((b"PUT ", b"GET ", b"HEAD ")):
                self.heads.append(data.split(b"\r\n\r\n")[0])
                self.requests.append(data)
            behind.write(data)
        behind.write_eof()

    async def _back(self, behind: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await behind.read(CHUNK):
            final = data.startswith(b"HTTP/1.1") and not data.startswith(b"HTTP/1.1 100")
            if final:
                self.answers.append(int(data[9:12]))
            if final and self.swallow:
                self.swallow -= 1
                return
            writer.write(data)


@pytest.fixture
async def relay(minio_url: str) -> Relay:
    """A relay to the real MinIO."""
    return Relay(minio_url)


def address(s3_url: str, endpoint: str) -> S3Address:
    """The same bucket by another endpoint."""
    return S3Address(S3Address.parse(s3_url).bucket, (endpoint,), "us-east-1")


async def test_create_is_one_conditional_put(relay: Relay, s3_url: str) -> None:
    """`If-None-Match: *` goes over the wire, and of 32 the server itself answers one 200 and 31 times 412."""
    async with relay.open() as endpoint, S3Store(address(s3_url, endpoint)) as store:
        relay.heads.clear()
        relay.answers.clear()
        results = await asyncio.gather(*(store.create("a7/x", b"%d" % n) for n in range(32)), return_exceptions=True)

    puts = [head.lower() for head in relay.heads if head.startswith(b"PUT ")]
    assert len(puts) == 32
    assert all(b"if-none-match: *" in head for head in puts)
    assert sorted(relay.answers) == [200] + [412] * 31
    assert [type(result) for result in results if result is not None] == [BlobExists] * 31


async def test_a_put_whose_answer_was_lost_is_found_done(relay: Relay, s3_url: str) -> None:
    """The commit happened, its answer did not arrive, the repeat meets 412: BlobExists, and the object is ours."""
    async with relay.open() as endpoint, S3Store(address(s3_url, endpoint)) as store:
        relay.answers.clear()
        relay.swallow = 1
        with pytest.raises(BlobExists):
            await store.create("a7/x", b"ours")
        assert relay.answers == [200, 412]
        assert await store.read("a7/x") == b"ours"


async def test_a_swap_whose_answer_was_lost_is_found_done(relay: Relay, s3_url: str) -> None:
    """The same with a swap: BlobChanged, and what is there is ours."""
    async with relay.open() as endpoint, S3Store(address(s3_url, endpoint)) as store:
        await store.create("a7/x", b"before")
        mark = (await store.read_tail("a7/x", 1)).mark
        relay.answers.clear()
        relay.swallow = 1
        with pytest.raises(BlobChanged):
            await store.swap("a7/x", mark, b"ours")
        assert relay.answers == [200, 412]
        assert await store.read("a7/x") == b"ours"


async def test_requests_that_come_again_from_the_network_change_nothing(
    relay: Relay, s3_url: str, minio_url: str
) -> None:
    """Every PUT, byte for byte, after all that came since: the server refuses it, and the last object stays."""
    async with relay.open() as endpoint, S3Store(address(s3_url, endpoint)) as store:
        relay.requests.clear()
        await store.create("a7/x", b"one")
        for body in (b"two", b"three", b"four"):
            await store.swap("a7/x", (await store.read_tail("a7/x", 1)).mark, body)
        puts = [request for request in relay.requests if request.startswith(b"PUT ")]
        for put in puts:
            reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(minio_url).port)
            writer.write(put)
            refused = await reader.readline()
            writer.close()
            assert refused.startswith(b"HTTP/1.1 412"), put

        assert len(puts) == 4
        assert await store.read("a7/x") == b"four"


@pytest.mark.parametrize("status", ["Enabled", "Suspended"])
async def test_a_bucket_that_keeps_versions_keeps_none_of_what_was_replaced(s3_url: str, status: str) -> None:
    """Not those made since it keeps versions, nor the one from before; the newest object stays."""
    async with S3Store(S3Address.parse(s3_url)) as store, library(s3_url) as s3:
        bucket = store.address.bucket
        await store.create("a7/x", b"before")
        await s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        await store.create("a7/y", b"versioned")
        await s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
        for key in ("a7/x", "a7/y"):
            for body in (b"second", b"third"):
                await store.swap(key, (await store.read_tail(key, 1)).mark, body)
        found = await s3.list_object_versions(Bucket=bucket, Prefix="a7/")

        assert [one["Key"] for one in found["Versions"]] == ["a7/x", "a7/y"]
        assert "DeleteMarkers" not in found
        assert [await store.read(key) for key in ("a7/x", "a7/y")] == [b"third"] * 2


async def test_a_server_that_never_answers_is_unavailable(relay: Relay, s3_url: str) -> None:
    """Every try loses its connection: StoreUnavailable for each method, and a new try later works."""
    async with relay.open() as endpoint, S3Store(address(s3_url, endpoint), attempts_max=1) as store:
        await store.create("a7/x", b"1")
        for call in (
            lambda: store.create("a7/y", b""),
            lambda: store.swap("a7/y", "mark", b""),
            lambda: store.read("a7/x"),
            lambda: store.read_range("a7/x", 0, 1),
            lambda: store.read_tail("a7/x", 1),
            lambda: store.delete("a7/z"),
            lambda: anext(store.list("a7/")),
            store.probe,
        ):
            relay.swallow = 99  # a request whose reused connection broke is repeated on another
            with pytest.raises(StoreUnavailable):
                await call()
        relay.swallow = 0
        assert await store.read("a7/x") == b"1"


PROBED = rb"PUT /[^ ]*/probe/"


@asynccontextmanager
async def losing(minio_url: str, count: int) -> AsyncIterator[tuple[str, Toxic]]:
    """The endpoint of a proxy that swallows so many PUTs of the test at a start, and the fault."""
    port = urlsplit(minio_url).port
    assert port
    async with FaultProxy(port) as proxy:
        with proxy.toxic(Lost(PROBED, count)) as toxic:
            yield f"http://127.0.0.1:{proxy.port}", toxic


async def test_a_program_starts_although_a_request_is_lost(
    minio_url: str, s3_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One PUT of the test gets no answer: the store is tested again, and a line says so."""
    monkeypatch.setattr(module, "PAUSE_S", 0.0)
    async with losing(minio_url, 1) as (endpoint, toxic):
        async with S3Store(address(s3_url, endpoint), read_timeout_s=1.0, examines=True) as store:
            await store.create("a7/x", b"1")
        assert toxic.hits == 1
    assert caplog.text.count("is down at startup: PUT probe/") == 1


async def test_a_store_that_stays_silent_ends_a_start(
    minio_url: str, s3_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """After so many tries, each of which is told."""
    monkeypatch.setattr(module, "PAUSE_S", 0.0)
    async with losing(minio_url, 10**6) as (endpoint, _):
        with pytest.raises(StoreUnavailable, match="Silent"):
            await S3Store(address(s3_url, endpoint), read_timeout_s=0.3, examines=True).__aenter__()
    assert caplog.text.count("is down at startup") == module.STARTS_MAX - 1


async def test_reads_ask_for_what_they_need(relay: Relay, s3_url: str) -> None:
    """A tail and a range are ranged GETs, not whole objects."""
    async with relay.open() as endpoint, S3Store(address(s3_url, endpoint)) as store:
        await store.create("a7/x", bytes(1000))
        relay.heads.clear()
        await store.read_tail("a7/x", 100)
        await store.read_range("a7/x", 10, 5)

    assert [b"range: bytes=-100" in relay.heads[0].lower(), b"range: bytes=10-14" in relay.heads[1].lower()] == [
        True
    ] * 2


async def test_opening_makes_the_bucket_once(s3_url: str) -> None:
    """Eight nodes at once on a new bucket, and one later: all work on the same."""
    stores = [S3Store(S3Address.parse(s3_url)) for _ in range(8)]

    async def use(store: S3Store, number: int) -> None:
        async with store:
            await store.create(f"a7/{number}", b"1")

    await asyncio.gather(*(use(store, number) for number, store in enumerate(stores)))
    async with S3Store(S3Address.parse(s3_url)) as last:
        assert len([key async for key in last.list("a7/")]) == 8


async def test_a_bucket_that_went_away_is_unavailable_not_empty(s3_url: str) -> None:
    """Somebody removed the bucket: nothing is missing, the store is."""
    async with S3Store(S3Address.parse(s3_url)) as store, library(s3_url) as s3:
        await s3.delete_bucket(Bucket=store.address.bucket)
        for call in (
            store.probe(),
            store.read("a7/x"),
            store.read_tail("a7/x", 1),
            store.create("a7/x", b""),
            store.swap("a7/x", '"e"', b""),
            store.delete("a7/x"),
            anext(store.list("a7/")),
            anext(store.list_in("a7/", ["m"], ["f"])),
        ):
            with pytest.raises(StoreUnavailable):
                await call


async def test_wrong_keys_are_our_fault(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused signature is StoreUnavailable already at the start."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
    with pytest.raises(StoreUnavailable):
        async with S3Store(S3Address.parse(s3_url)):
            pass


async def test_a_range_beyond_the_object_is_missing(s3_url: str) -> None:
    """By an old record: there are no such bytes."""
    async with S3Store(S3Address.parse(s3_url)) as store:
        await store.create("a7/x", b"1234")
        with pytest.raises(BlobMissing):
            await store.read_range("a7/x", 4, 1)
