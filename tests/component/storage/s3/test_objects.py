"""A real MinIO checks what we send."""

from types import SimpleNamespace

import pytest

from storage.s3.store import S3Address, S3Store
from tests.stores import taken


async def test_minio_refuses_a_body_that_does_not_fit_its_sum(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CRC-32 that is wrong: the real store says so and keeps nothing."""
    async with S3Store(S3Address.parse(s3_url)) as store:
        monkeypatch.setattr("storage.s3.objects.isal_zlib", SimpleNamespace(crc32=lambda part, crc: 7))
        answer = await store._objects.put("a7/x", [b"bytes"], {"if-none-match": "*"})

        assert (answer.status, answer.code) == (400, "XAmzContentChecksumMismatch")
        assert not await taken(store, "a7/x")
