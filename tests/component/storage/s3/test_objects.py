"""A real MinIO checks what we send."""

from types import SimpleNamespace

import pytest

from storage.blobs import StoreUnavailable
from storage.s3.store import S3Address, S3Store
from tests.stores import taken


async def test_minio_refuses_a_body_that_does_not_fit_its_sum(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CRC-32 that is wrong: the real store says so and keeps nothing."""
    async with S3Store(S3Address.parse(s3_url)) as store:
        monkeypatch.setattr("storage.s3.request.isal_zlib", SimpleNamespace(crc32=lambda part, crc: 7))
        with pytest.raises(StoreUnavailable, match=r"(?s)the store answered 400 .*XAmzContentChecksumMismatch"):
            await store.create("a7/x", b"bytes")
        assert not await taken(store, "a7/x")
