"""An endpoint of a real MinIO that comes later, or comes back: it is used only once it was seen to keep conditions."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
from aiohttp import ClientSession, web
from yarl import URL

from storage import config
from storage.blobs import BlobExists, StoreUnavailable
from storage.s3 import endpoints
from storage.s3.address import S3Address
from storage.s3.endpoint import State
from storage.s3.signing import Keys, signed
from storage.s3.store import S3Store
from tests.erasure import eventually
from tests.ports import free_port

OURS = ("if-none-match", "if-match", "range", "x-amz-checksum-crc32")


@asynccontextmanager
async def proxy(port: int, url: str, *, drops: str = "", bucket: str = "") -> AsyncIterator[None]:
    """A server before the MinIO of this address that leaves a condition out of what it passes on, signed anew.

    With a `bucket`, it is another store.
    """
    address, aws = S3Address.parse(url), config.aws()
    [endpoint], keys = address.endpoints, Keys(aws.access_key_id, aws.secret_access_key)

    async def serve(session: ClientSession, request: web.Request) -> web.Response:
        body = await request.read()
        fields = {name: request.headers[name] for name in OURS if name in request.headers and name != drops}
        if request.method == "PUT":
            fields["content-length"] = str(len(body))
        date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        place = request.raw_path.replace(address.bucket, bucket or address.bucket, 1)
        head = signed(keys, address.region, URL(endpoint).authority, request.method, place, fields, date)
        target = URL(endpoint + place, encoded=True)
        async with session.request(request.method, target, headers=head, data=body or None) as answer:
            told = {name: answer.headers[name] for name in ("ETag", "Content-Type") if name in answer.headers}
            return web.Response(status=answer.status, body=await answer.read(), headers=told)

    async with ClientSession() as session:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", partial(serve, session))
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        try:
            yield
        finally:
            await runner.cleanup()


def state_at(store: S3Store, port: int) -> State:
    """What the store thinks of the endpoint at this port."""
    return next(one.state for one in store._objects.endpoints.all if one.url.endswith(f":{port}"))


async def overwritten(store: S3Store, name: str) -> int:
    """How many of 14 objects a second `create` replaced."""
    found = 0
    for number in range(14):
        key = f"a7/{name}-{number}"
        await store.create(key, b"first")
        try:
            await store.create(key, b"second")
        except BlobExists:
            continue
        found += 1
    return found


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks, and tests again, in moments; what was away sees the others at once."""
    monkeypatch.setattr(endpoints, "EVERY_S", 0.1)
    monkeypatch.setattr("storage.s3.endpoint.SETTLE_S", 0.0)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("drops", ["if-none-match", "if-match"])
async def test_an_endpoint_that_comes_late_is_tested_before_it_is_used(
    s3_url: str, drops: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One that drops a condition gets nothing, and an error says so; once it keeps them, it is used."""
    port = free_port()
    url = s3_url.replace("endpoint=", f"endpoint=http://127.0.0.1:{port},")
    async with S3Store(S3Address.parse(url), examines=True) as store:
        assert state_at(store, port) is State.DOWN
        async with proxy(port, s3_url, drops=drops):
            await eventually(lambda: state_at(store, port) is State.UNFIT, "left out")
            assert await overwritten(store, "bad") == 0
        assert [record.levelno for record in caplog.records if "it ignores If-" in record.message] == [logging.ERROR]
        async with proxy(port, s3_url):
            await eventually(lambda: state_at(store, port) is State.UP, "used again")
            assert await overwritten(store, "good") == 0


@pytest.mark.usefixtures("quick")
async def test_an_endpoint_of_another_store_takes_nothing(
    s3_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither changes nor reads; when that has lasted, an error says so."""
    port, other = free_port(), f"{S3Address.parse(s3_url).bucket}-other"
    async with S3Store(S3Address.parse(s3_url.replace(S3Address.parse(s3_url).bucket, other, 1))):
        pass  # which makes the bucket
    url = s3_url.replace("endpoint=", f"endpoint=http://127.0.0.1:{port},")
    async with S3Store(S3Address.parse(url), examines=True) as store, proxy(port, s3_url, bucket=other):
        await eventually(lambda: "or it is of another store" in caplog.text, "tested")
        assert state_at(store, port) is State.APART
        assert await overwritten(store, "other") == 0
        assert {await store.read(f"a7/other-{number}") for number in range(14)} == {b"first"}
        monkeypatch.setattr(endpoints, "LASTING_S", 0.0)
        await eventually(lambda: state_at(store, port) is State.UNFIT, "left out")
        assert await overwritten(store, "later") == 0


@pytest.mark.usefixtures("quick")
async def test_an_endpoint_that_was_away_is_tested_again(s3_url: str) -> None:
    """Another program may answer at its address; with no other endpoint left, the store is not used at all."""
    port = free_port()
    bucket = S3Address.parse(s3_url).bucket
    async with proxy(port, s3_url):
        opened = S3Store(S3Address.parse(f"s3://{bucket}?endpoint=http://127.0.0.1:{port}"), examines=True)
        store = await opened.__aenter__()
        assert await overwritten(store, "before") == 0
    try:
        with pytest.raises(StoreUnavailable):
            await store.read("a7/x")
        async with proxy(port, s3_url, drops="if-none-match"):
            await eventually(lambda: state_at(store, port) is State.UNFIT, "left out")
            with pytest.raises(StoreUnavailable, match="NoSuitableEndpoint"):
                await store.create("a7/new", b"1")
            with pytest.raises(StoreUnavailable, match="NoSuitableEndpoint"):
                await store.probe()
    finally:
        await asyncio.wait_for(opened.__aexit__(None, None, None), 30)
