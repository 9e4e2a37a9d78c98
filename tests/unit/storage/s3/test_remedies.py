"""storage.s3.remedies, and that a failed call is logged with them: status, code, remedy, and nothing else."""

import pytest

from storage.blobs import BlobExists, StoreUnavailable
from storage.s3 import remedies
from storage.s3.store import S3Address, S3Store
from tests.unit.storage.s3.test_objects import OK, Store, listening


def answer(status: int, code: str, fields: str = "") -> bytes:
    """An answer of a store, with a text that must not be logged."""
    text = f"<Error><Code>{code}</Code><Key>aa/intake/m/p.zip</Key><StringToSign>secret</StringToSign></Error>"
    return f"HTTP/1.1 {status} x\r\n{fields}Content-Length: {len(text)}\r\n\r\n{text}".encode()


@pytest.mark.parametrize(
    ("said", "logged", "remedy"),
    [
        (answer(501, "NotImplemented"), "PUT: 501 NotImplemented", "lacks a feature"),
        (answer(403, "RequestTimeTooSkewed"), "PUT: 403 RequestTimeTooSkewed", "clock"),
        (
            answer(301, "PermanentRedirect", "x-amz-bucket-region: eu-west-1\r\n"),
            "PUT: 301 PermanentRedirect (the bucket is in eu-west-1)",
            "region",
        ),
        (answer(200, "InternalError"), "PUT: 200 InternalError", "overloaded"),
        (answer(503, "VersionsUnknown"), "PUT: 503 VersionsUnknown", "ListBucketVersions"),
        (answer(418, "Teapot"), "PUT: 418 Teapot", "log"),
        (b"HTTP/1.1 507 x\r\nContent-Length: 0\r\n\r\n", "PUT: 507", "free space"),
    ],
)
async def test_a_failed_call_is_logged(
    said: bytes, logged: str, remedy: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its status, the store's code and what to do; neither the key nor the text."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    async with (
        listening(Store([OK, said])) as endpoint,
        S3Store(S3Address("b", (endpoint,), "us-east-1"), attempts_max=1) as store,
    ):
        with pytest.raises(StoreUnavailable):
            await store.create("aa/intake/m/p.zip", b"1")

    (line,) = [record.getMessage() for record in caplog.records]
    assert f": {logged}; uploads" in line
    assert remedy in line
    assert "intake" not in line
    assert "secret" not in line


async def test_what_is_no_failure_is_not_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An object that exists is an answer like another; a store that hangs up is a failure."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    async with (
        listening(Store([OK, answer(412, "PreconditionFailed"), b""])) as endpoint,
        S3Store(S3Address("b", (endpoint,), "us-east-1"), attempts_max=1) as store,
    ):
        with pytest.raises(BlobExists):
            await store.create("x", b"1")
        assert not caplog.records
        with pytest.raises(StoreUnavailable):
            await store.create("x", b"1")
    assert remedies.SILENT in caplog.records[0].getMessage()
