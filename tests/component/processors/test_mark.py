"""The sweeper's mark: what a Redis may have lost, and keys of another type."""

import pytest
from redis.asyncio import Redis

from processors.mark import mark
from storage.keys import CURSORS_KEY, LEASES_KEY, QUEUE_KEYS, SWEPT_KEY, TYPES


async def test_a_mark_tells_a_new_redis_and_other_shards(redis: Redis) -> None:
    """0 as long as nothing changes."""
    assert [(await mark(redis, epoch)).found for epoch in ("", "", "two", "two")] == [1, 0, 2, 0]
    await redis.flushall()
    assert (await mark(redis, "two")).found == 1


async def test_cursors_that_cannot_be_read_are_left_out(redis: Redis) -> None:
    """Their classes begin a pass."""
    await redis.hset(CURSORS_KEY, mapping={b"0": b'{"done":16,"begun_s":1.0}', b"1": b"x", b"\xff": b'{"done":-1}'})
    assert list((await mark(redis, "")).cursors) == ["0"]


async def test_keys_of_another_type_are_deleted_and_named(redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    """Those of the right type stay as they are."""
    names = [name for name in TYPES if TYPES[name] != "list"]
    for name in names:
        await redis.rpush(name, "x")
    await redis.set(SWEPT_KEY, "x")
    assert (await mark(redis, "")).found > 0
    assert [name for name in names if await redis.exists(name)] == [SWEPT_KEY]
    assert LEASES_KEY in caplog.text
    await redis.zadd(QUEUE_KEYS[0], {"job": 1})
    await redis.hset(LEASES_KEY, "job", "x")
    await mark(redis, "")
    assert (await redis.zcard(QUEUE_KEYS[0]), await redis.hlen(LEASES_KEY)) == (1, 1)
