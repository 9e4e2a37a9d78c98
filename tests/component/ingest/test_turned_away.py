"""Uploads that met our failure on a real node: what they are told, what their retry finds, what the log says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis.asyncio import Redis

from storage.blobs import StoreFull

MakeClient = Callable[..., AbstractAsyncContextManager[Any]]


async def test_a_retry_of_a_try_before_the_moment_counts_from_its_opening(client: Any) -> None:
    """We were full, the moment opened meanwhile: taken, and on time; without a ticket, or too early, 409."""
    now = datetime.now(UTC)
    moment = await client.moment(fires_at=now.isoformat(timespec="milliseconds"))
    before = str(int((now - timedelta(seconds=30)).timestamp() * 1000))
    fields = {"Snapsurge-Received-At": before, "Snapsurge-Retry": "1"}
    first = await client.upload(moment, headers={"Snapsurge-Received-At": before})
    retried = await client.upload(moment, headers=fields)
    coming = await client.moment(fires_at=(now + timedelta(hours=1)).isoformat())
    early = await client.upload(coming, headers=fields)

    assert (first.status, first.body["code"]) == (409, "moment-not-open")
    assert retried.status == 201
    assert datetime.fromisoformat(retried.body["received_at"]) == now.replace(
        microsecond=now.microsecond // 1000 * 1000
    )
    assert (early.status, early.body["code"]) == (409, "moment-not-open")


@pytest.mark.parametrize(("early_ms", "status"), [(90, 201), (110, 409)])
async def test_a_post_at_the_opening_may_be_early_by_the_difference_of_two_clocks(
    client: Any, early_ms: int, status: int
) -> None:
    """It counts as received when the moment opened; one that is earlier is refused."""
    opened = int(datetime.now(UTC).timestamp() * 1000)
    moment = await client.moment(fires_at=datetime.fromtimestamp(opened / 1000, UTC).isoformat())
    answer = await client.upload(moment, headers={"Snapsurge-Received-At": str(opened - early_ms)})

    assert answer.status == status
    if status == 201:
        assert datetime.fromisoformat(answer.body["received_at"]).timestamp() * 1000 == opened


async def test_a_full_store_says_when_to_come_back(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """507 with Retry-After: the client keeps its pair, and it is our fault."""
    moment = await client.moment()

    async def full(*_: object, **__: object) -> None:
        raise StoreFull("no space")

    monkeypatch.setattr("storage.files.FileStore.create", full)
    answer = await client.upload(moment)

    assert (answer.status, answer.body["code"], answer.body["stored"]) == (507, "storage-full", False)
    assert int(answer.headers["Retry-After"]) >= 1


async def test_a_redis_that_refuses_is_told_once_and_names_no_user(
    client: Any, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """Three uploads of users of 120 characters meet it: one short line of uploads, no id and no command in any."""
    moment = await client.moment()
    users = [letter * 120 for letter in "abc"]
    await redis.config_set("maxmemory", "1")
    try:
        answers = [await client.upload(moment, user=user) for user in users]
    finally:
        await redis.config_set("maxmemory", "0")

    assert [answer.status for answer in answers] == [201, 201, 201]
    lines = [record.getMessage() for record in caplog.records if record.name == "snapsurge.ingest.announcing"]
    assert len(lines) == 1
    assert "OOM" in lines[0]
    assert "Fix Redis" in lines[0]
    assert max(map(len, lines)) < 400
    assert not any(user[:20] in line or "EVAL" in line for user in users for line in lines)


async def test_who_is_shed_while_sending_hears_so_and_its_memory_is_free(make_client: MakeClient) -> None:
    """A user's fifth upload costs the first that stands still: 503 with Retry-After, known length or chunked."""
    async with make_client() as client:
        moment = await client.moment()
        for chunked in (False, True):
            held, user = asyncio.Event(), f"user-{chunked}"

            async def slow(held: asyncio.Event = held) -> AsyncIterator[bytes]:
                yield b'--x\r\nContent-Disposition: form-data; name="front"\r\n\r\n' + b"x" * 5000
                await held.wait()

            async with asyncio.TaskGroup() as group:
                length = {} if chunked else {"headers": {"Content-Length": "1000000"}}
                sent = [group.create_task(client.upload(moment, user=user, body=slow(), **length)) for _ in range(4)]
                while b"in_flight_requests 4.0" not in (await client.call("GET", "/metrics")).raw:
                    pass
                latest = await client.upload(moment, user=user)
                done, _ = await asyncio.wait(sent, return_when=asyncio.FIRST_COMPLETED)
                (shed,) = (task.result() for task in done)
                for task in sent:
                    task.cancel()
                held.set()
            assert latest.status == 201
            assert (shed.status, shed.body["code"]) == (503, "overloaded")
            assert int(shed.headers["Retry-After"]) >= 1
