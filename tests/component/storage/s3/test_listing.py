"""Listings of a real MinIO: the keys are those that aioboto3 reads, and how many requests they take."""

import asyncio
import re

from storage.s3.listing import MERGED_MAX
from storage.s3.store import S3Address, S3Store
from tests.component.storage.s3.test_store import CHUNK, Relay, address, library

ASKED = [("a7/", ""), ("a7/intake/m/", "a7/intake/m/0990"), ("a7/ +", ""), ("", "a8"), ("c", "")]


async def test_a_listing_is_what_the_library_lists(s3_url: str) -> None:
    """Odd keys, more than one page, from a key on, an empty prefix's objects, and none."""
    keys = [*(f"a7/intake/m/{number:04}" for number in range(1005)), "a7/ +&?%20ä\x01<>", "b0/one"]
    async with S3Store(S3Address.parse(s3_url)) as store, library(s3_url) as s3:
        await asyncio.gather(*(store.create(key, key.encode()) for key in keys))
        found = {
            (prefix, after): [(entry.key, entry.size) async for entry in store.list(prefix, after)]
            for prefix, after in ASKED
        }
        for (prefix, after), ours in found.items():
            pages = s3.get_paginator("list_objects_v2").paginate(
                Bucket=store.address.bucket, Prefix=prefix, StartAfter=after
            )
            wanted = [(item["Key"], item["Size"]) async for page in pages for item in page.get("Contents", [])]
            assert ours == wanted
    assert [len(ours) for ours in found.values()] == [1006, 14, 1, 1, 0]


class Chunking(Relay):
    """Sends listings as AWS does: in chunks, without Content-Length."""

    listings = 0

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


async def test_listings_without_a_length_are_read(minio_url: str, s3_url: str) -> None:
    """As AWS sends them: each page once, and none is taken for the last one."""
    keys = [f"a7/intake/m/{number:04}" for number in range(1005)]
    relay = Chunking(minio_url)
    async with S3Store(S3Address.parse(s3_url)) as store:
        await asyncio.gather(*(store.create(key, b".") for key in keys))
    async with relay.open() as endpoint, S3Store(address(s3_url, endpoint)) as store:
        assert [entry.key async for entry in store.list("a7/")] == keys
    assert relay.listings == 2


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
