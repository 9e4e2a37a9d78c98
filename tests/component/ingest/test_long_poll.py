"""The long poll of a post on a real node: told when it is ready, within its bounds, and without a place of a read."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from .test_posts import finish


async def test_a_long_poll_is_answered_when_the_post_is_ready(client: Any, redis: Redis) -> None:
    """Not before; with the post as it is then. A wait that ends by its time says `accepted`, and is 200 too."""
    path = (await client.upload(await client.moment())).headers["Location"]
    assert (await client.call("GET", f"{path}?wait=1", "anybody")).body["state"] == "accepted"
    async with asyncio.TaskGroup() as tasks:
        poll = tasks.create_task(client.call("GET", f"{path}?wait=25", "anybody"))
        while b"snapsurge_ingest_waiters 1.0" not in (await client.call("GET", "/metrics")).raw:
            assert not poll.done()
        await finish(client, redis, path)

    assert (poll.result().status, poll.result().body["state"]) == (200, "ready")
    assert (await client.call("GET", f"{path}?wait=25", "anybody")).body["state"] == "ready"


@pytest.mark.parametrize("wait", ["26", "-1", "1.5", "x", "9999999999999999999", "٣", ""])
async def test_a_wait_has_a_limit(client: Any, wait: str) -> None:
    """400 says which; 25 and 0 are taken."""
    path = (await client.upload(await client.moment())).headers["Location"]
    answer = await client.call("GET", path, params={"wait": wait})

    assert (answer.status, answer.body["code"]) == (400, "bad-request")
    assert "0 to 25" in answer.body["detail"]
    assert (await client.call("GET", f"{path}?wait=0")).status == 200


async def test_waiters_hold_no_place_of_a_read(make_client: Any, redis: Redis) -> None:
    """Twice as many wait as may read at the same time; others read meanwhile, and all waiters are told."""
    async with make_client(reads_max=64, user_uploads_burst=1000) as client, asyncio.TaskGroup() as tasks:
        moment = await client.moment()
        paths = [(await client.upload(moment, f"user{number}")).headers["Location"] for number in range(4)]
        polls: list[asyncio.Task[Any]] = []
        for count in (32, 64, 96):  # no more at once than may read, because each reads first
            polls += [
                tasks.create_task(client.call("GET", f"{paths[number % 4]}?wait=25", f"reader{number // 8}"))
                for number in range(count - 32, count)
            ]
            while f"snapsurge_ingest_waiters {count}.0".encode() not in (await client.call("GET", "/metrics")).raw:
                assert not [poll for poll in polls if poll.done()]
        refused = await client.call("GET", f"{paths[0]}?wait=25", "reader0")
        assert (refused.status, refused.body["code"]) == (429, "rate-limited")
        assert (await client.call("GET", paths[0], "reader0")).status == 200
        for path in paths:
            await finish(client, redis, path)

    told = [poll.result() for poll in polls]
    assert {(answer.status, answer.body["state"]) for answer in told} == {(200, "ready")}


async def test_a_deletion_ends_the_wait(client: Any) -> None:
    """With 404, not with the record of before."""
    path = (await client.upload(await client.moment())).headers["Location"]
    async with asyncio.TaskGroup() as tasks:
        poll = tasks.create_task(client.call("GET", f"{path}?wait=25", "anybody"))
        while b"snapsurge_ingest_waiters 1.0" not in (await client.call("GET", "/metrics")).raw:
            assert not poll.done()
        assert (await client.call("DELETE", path)).status == 204
    assert (poll.result().status, poll.result().body["code"]) == (404, "no-such-post")


async def test_who_disconnects_waits_no_more(client: Any) -> None:
    """The places of a user are free again while a client that came before still waits."""
    path = (await client.upload(await client.moment())).headers["Location"]
    async with asyncio.TaskGroup() as tasks:
        stays = tasks.create_task(client.call("GET", f"{path}?wait=25", "carol"))
        while b"snapsurge_ingest_waiters 1.0" not in (await client.call("GET", "/metrics")).raw:
            assert not stays.done()
        polls = [tasks.create_task(client.call("GET", f"{path}?wait=25", "bob")) for _ in range(8)]
        while b"snapsurge_ingest_waiters 9.0" not in (await client.call("GET", "/metrics")).raw:
            assert not [poll for poll in polls if poll.done()]
        for poll in polls:
            poll.cancel()
        while b"snapsurge_ingest_waiters 1.0" not in (await client.call("GET", "/metrics")).raw:
            assert not stays.done()
        assert not stays.done()
        assert (await client.call("GET", f"{path}?wait=1", "bob")).status == 200
        assert (await client.call("DELETE", path)).status == 204
