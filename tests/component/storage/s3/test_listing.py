"""Listings of a real MinIO: how many requests they take, and what happens without Content-Length."""

import asyncio
import contextlib
import re

from storage.s3.listing import MERGED_MAX
from storage.s3.store import S3Address, S3Store
from tests.component.storage.s3.test_store import CHUNK, Relay, address


class Chunking(Relay):
    """Sends listings as AWS does: in chunks, without Content-Length."""

    listings = 0

    async def _forth(self, reader: asyncio.StreamReader, behind: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):  # the client ends a connection whose answer it cannot read
            await super()._forth(reader, behind)

    async def _back(self, behind: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await behind.read(CHUNK):
            head, _, body = data.partition(b"\r\n\r\n")
            if b"<ListBucketResult" in body:
                self.listings += 1
                length = int(re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", head)[1])  # type: ignore[index]
                while len(body) < length:
                    body += await behind.read(CHUNK)
                head = re.sub(rb"(?i)\r\ncontent-length: *[0-9]+", b"\r\nTransfer-Encoding: chunked", head)
                data = head + b"\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (length, body)
            writer.write(data)


async def test_listings_without_a_length_are_read_by_the_library(minio_url: str, s3_url: str) -> None:
    """The first is asked for twice, once each way; the others come the same, page by page."""
    keys = [f"a7/intake/m-1-{number % 3}/{number:04}" for number in range(1005)]
    async with S3Store(S3Address.parse(s3_url)) as store:
        for start in range(0, len(keys), 100):
            await asyncio.gather(*(store.create(key, b".") for key in keys[start : start + 100]))
    relay = Chunking(minio_url)
    async with relay.open() as endpoint, S3Store(address(s3_url, endpoint)) as store:
        assert [entry.key async for entry in store.list("a7/")] == sorted(keys)
        assert relay.listings == 3
        assert [entry.key async for entry in store.list("a7/", sorted(keys)[-2])] == sorted(keys)[-1:]
        found = [entry.key async for entry in store.list_in("a7/", ["intake"], ["m-1-0", "none-1-x"])]
        assert sorted(found) == [key for key in keys if "/m-1-0/" in key]
        assert relay.listings > 4


async def test_folders_of_many_regions_take_one_request_in_a_small_store(minio_url: str, s3_url: str) -> None:
    """In a large one a request for each region and day, after one that shows that the store is large."""
    folders = [f"region{number % 5}-1-{number}" for number in range(50)]
    relay = Relay(minio_url)
    async with relay.open() as endpoint, S3Store(address(s3_url, endpoint)) as store:

        async def requests() -> int:
            relay.heads.clear()
            async for _ in store.list_in("a7/", ["intake", "media"], folders):
                pass
            return len(relay.heads)

        await store.create("a7/intake/region3-1-3/x", b".")
        assert await requests() == 1
        await asyncio.gather(*(store.create(f"a7/intake/region1-0-{n}/x", b".") for n in range(MERGED_MAX)))
        assert [await requests(), await requests()] == [1 + 2 * 5, 2 * 5]
