"""storage.s3.inspected: a bucket that is looked at, on a real MinIO."""

import aiohttp
import pytest

from storage.blobs import StoreUnavailable
from storage.s3.address import S3Address
from storage.s3.inspected import InspectedStore
from storage.s3.store import S3Store


async def test_it_makes_no_bucket_and_tells_endpoints_and_space(s3_url: str) -> None:
    """Of a bucket that is there."""
    address = S3Address.parse(s3_url)
    with pytest.raises(StoreUnavailable, match="there is no bucket"):
        async with InspectedStore(address):
            pass
    async with S3Store(address):
        pass
    async with InspectedStore(address) as store, aiohttp.ClientSession() as session:
        assert store.endpoints == {address.endpoints[0]: "UP"}
        assert await store.warnings() == []
        room = await store.room(session)
        assert room
        assert 0 < room[0] <= room[1]


async def test_keys_that_may_not_ask_are_told_nothing(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with every other store: the space is not known."""
    async with S3Store(S3Address.parse(s3_url)):
        pass
    async with InspectedStore(S3Address.parse(s3_url)) as store, aiohttp.ClientSession() as session:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-secret")
        assert await store.room(session) is None
