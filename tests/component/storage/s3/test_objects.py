"""A real MinIO checks what we send, and what a store that fails leaves in memory."""

import asyncio
import contextlib
import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from storage.blobs import StoreUnavailable
from storage.s3.objects import Objects
from storage.s3.signing import Keys
from storage.s3.store import S3Address, S3Store
from tests.stores import taken


async def test_minio_refuses_a_body_that_does_not_fit_its_sum(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CRC-32 that is wrong: the real store says so and keeps nothing."""
    async with S3Store(S3Address.parse(s3_url)) as store:
        monkeypatch.setattr("storage.s3.request.isal_zlib", SimpleNamespace(crc32=lambda part, crc: 7))
        with pytest.raises(StoreUnavailable, match=r"(?s)the store answered 400 .*XAmzContentChecksumMismatch"):
            await store.create("a7/x", b"bytes")
        assert not await taken(store, "a7/x")


class Body(bytearray):
    """A body that can be seen to be gone."""


@asynccontextmanager
async def failing(end: str) -> AsyncIterator[str]:
    """The endpoint of a store that takes a body and then hangs up, or says nothing more."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(100_000)
            if end != "cut":
                await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield "http://127.0.0.1:{1}".format(*server.sockets[0].getsockname())
    finally:
        server.close()


@pytest.mark.parametrize("end", ["silent", "cut", "cancelled"])
async def test_a_body_is_free_when_its_put_has_failed(end: str) -> None:
    """Without the collector: while a store is away, what waited for it would fill the memory of a node."""

    async def keys() -> Keys:
        return Keys("a", "s", None)

    async def put(body: Body) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(0.3 if end == "cancelled" else None):
                await objects.put("x", [memoryview(body)], {"if-none-match": "*"})

    limits: dict[str, Any] = {"connections_max": 2, "attempts_max": 2, "connect_timeout_s": 9.0}
    limits["read_timeout_s"] = 60.0 if end == "cancelled" else 0.3
    async with (
        failing(end) as endpoint,
        Objects([endpoint], "b", "r", keys, ca_file="", **limits) as objects,
    ):
        gc.collect()
        gc.disable()
        try:
            bodies = [Body(100_000) for _ in range(3)]
            gone = [weakref.ref(body) for body in bodies]
            await asyncio.gather(*map(put, bodies))
            del bodies
            assert [one() for one in gone] == [None] * 3
        finally:
            gc.enable()
