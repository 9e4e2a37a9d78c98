"""Exports, lists and deletions of all posts on a real node: crowds of slow or loud users keep nobody out."""

import asyncio
import contextlib
import io
import zipfile
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from ingest.gcra import Rate
from storage import intake
from tests.component.ingest.conftest import photo, token


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection that holds little of what it does not read; the node may cut it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4096)
    with contextlib.suppress(ConnectionError):
        try:
            yield reader, writer
        finally:
            writer.transport.abort()
            await writer.wait_closed()


async def passed(seconds: float) -> None:
    """What a slow client does between two reads."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()


@pytest.mark.parametrize(("bytes_s", "turn_s"), [(6_000, 30.0), (400_000, 1.0)], ids=["slow", "above the least pace"])
async def test_slow_readers_hold_no_export_that_others_wait_for(
    make_client: Any, monkeypatch: pytest.MonkeyPatch, bytes_s: int, turn_s: float
) -> None:
    """Eight accounts read just above a minimum rate, again and again; every other user gets its whole export."""
    monkeypatch.setattr("ingest.exports.JUDGED_S", 0.2)
    monkeypatch.setattr("ingest.users.EXPORTS_MAX", 2)
    monkeypatch.setattr("ingest.giving_way.TURN_S", turn_s)
    slow, honest = [f"slow-{number}" for number in range(8)], [f"honest-{number}" for number in range(6)]
    async with make_client() as client:
        moment = await client.moment()
        for user in slow + honest:
            assert (await client.upload(moment, user)).status == 201
        for path in client.objects("intake"):
            archive = intake.unpack(path.read_bytes())
            if archive.receipt.user_id in slow:
                large = photo() + bytes(12 * 1024 * 1024)  # more than the sockets hold
                path.write_bytes(b"".join(intake.pack(archive.receipt, large, large)))
        begun = asyncio.Event()

        async def reads_slowly(user: str) -> None:
            while True:
                async with connected(client.port) as (reader, writer):
                    writer.write(f"GET /v1/users/{user}/export HTTP/1.1\r\nHost: x\r\n".encode())
                    writer.write(f"Authorization: Bearer {token(user)}\r\n\r\n".encode())
                    first = await reader.read(1024)
                    begun.set()
                    while b" 200 " in first and await reader.read(bytes_s // 10):
                        await passed(0.1)
                await passed(0.5)

        async with asyncio.TaskGroup() as group:
            crowd = [group.create_task(reads_slowly(user), name=user) for user in slow]
            await begun.wait()
            answers = await asyncio.gather(*(client.call("GET", f"/v1/users/{user}/export", user) for user in honest))
            for task in crowd:
                task.cancel()

        assert [answer.status for answer in answers] == [200] * len(honest)
        assert b'route="user_export",status="503"' in (await client.call("GET", "/metrics")).raw
        assert all(zipfile.ZipFile(io.BytesIO(answer.raw)).testzip() is None for answer in answers)


async def test_an_export_that_ends_for_another_is_no_fault_of_the_node(
    make_client: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its archive has no end; the node counts it as refused, and writes no traceback."""
    monkeypatch.setattr("ingest.exports.JUDGED_S", 0.1)
    monkeypatch.setattr("ingest.users.EXPORTS_MAX", 1)
    async with make_client() as client:
        assert (await client.upload(await client.moment())).status == 201
        (stored,) = client.objects("intake")
        archive = intake.unpack(stored.read_bytes())
        large = photo() + bytes(24 * 1024 * 1024)
        stored.write_bytes(b"".join(intake.pack(archive.receipt, large, large)))
        url = f"http://127.0.0.1:{client.port}/v1/users/alice/export"
        fields = {"Authorization": f"Bearer {token('alice')}"}

        async with client.session.get(url, headers=fields) as slow, client.session.get(url, headers=fields) as second:
            assert (slow.status, second.status) == (200, 429)
            others = [client.call("GET", f"/v1/users/{user}/export", user) for user in ("bob", "cem", "dan")]
            assert [answer.status for answer in await asyncio.gather(*others)] == [200, 200, 200]
            with pytest.raises(aiohttp.ClientError):
                await slow.read()
        assert not [record for record in caplog.records if record.exc_info]
        assert b'route="user_export",status="503"' in (await client.call("GET", "/metrics")).raw


@pytest.mark.parametrize(
    ("method", "path", "rate"),
    [("GET", "export", "EXPORT_RATE"), ("GET", "posts", "LIST_RATE"), ("DELETE", "posts", "ERASURE_RATE")],
)
async def test_a_user_may_ask_so_often(
    make_client: Any, monkeypatch: pytest.MonkeyPatch, free_port: int, method: str, path: str, rate: str
) -> None:
    """Also without Redis; then 429 and when to come back. Another user and operators are served."""
    monkeypatch.setattr(f"ingest.users.{rate}", Rate(2, 600))
    async with make_client(redis_address=f"redis://127.0.0.1:{free_port}") as client:
        answers = [await client.call(method, f"/v1/users/alice/{path}") for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]
        assert answers[2].body["code"] == "rate-limited"
        assert 290 <= int(answers[2].headers["Retry-After"]) <= 300
        assert ";q=2;w=600" in answers[2].headers["RateLimit-Policy"]
        assert (await client.call(method, f"/v1/users/bob/{path}", "bob")).status == 200
        assert [(await client.call(method, f"/v1/users/alice/{path}", "o", "ops")).status for _ in range(3)] == [
            200
        ] * 3
