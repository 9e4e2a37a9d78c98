"""storage.s3.inspected: a bucket that is looked at, on a real MinIO."""

from pathlib import Path

import aiohttp
import pytest

from storage import config
from storage.blobs import StoreUnavailable
from storage.s3.address import S3Address
from storage.s3.inspected import InspectedStore, _rows
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


async def test_keys_need_not_be_in_the_environment(
    s3_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file, a role: as the store itself finds them. AWS has no limit, and is not asked for one."""
    async with S3Store(S3Address.parse(s3_url)):
        pass
    keys = config.aws()
    (file := tmp_path / "credentials").write_text(
        f"[default]\naws_access_key_id = {keys.access_key_id}\naws_secret_access_key = {keys.secret_access_key}\n"
    )
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    async with InspectedStore(S3Address.parse(s3_url)) as store, aiohttp.ClientSession() as session:
        assert await store.room(session)
        assert await InspectedStore(S3Address("bucket", (), "us-east-1")).room(session) is None


def test_a_metric_that_is_no_number_is_passed_over() -> None:
    """MinIO has some hundred others."""
    free, whole = "minio_cluster_capacity_usable_free_bytes", "minio_cluster_capacity_usable_total_bytes"
    text = f'# TYPE x gauge\nx NaN\ny{{a="b"}} +Inf\n\n{free}{{server="a"}} 1.5e+10\n{whole} 3e+10\n'
    assert dict(_rows(text)) == {free: 15_000_000_000, whole: 30_000_000_000}


async def test_keys_that_may_not_ask_are_told_nothing(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with every other store: the space is not known."""
    async with S3Store(S3Address.parse(s3_url)):
        pass
    async with InspectedStore(S3Address.parse(s3_url)) as store, aiohttp.ClientSession() as session:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-secret")
        assert await store.room(session) is None
