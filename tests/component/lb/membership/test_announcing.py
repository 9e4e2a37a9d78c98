"""lb.membership.announcing: where this balancer's `/metrics` is, told to a real Redis."""

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis

import lb.membership.announcing as balancers
from lb.config import Config
from lb.membership.heartbeats import RIGHTS, connect
from processors.scaling.targets import found


async def test_the_address_is_told_until_the_end(redis: Redis) -> None:
    """None before the port is open, none after the balancer has stopped."""
    balancer = balancers.Announcing(redis, 5.0)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(balancer.run())
        await asyncio.sleep(0)
        assert await found(redis) == []
        balancer.begin("127.0.0.1", 8090)
        while not await found(redis):
            pass
        running.cancel()

    assert await found(redis) == []


async def test_a_balancer_without_the_right_says_so_once(
    redis: Redis, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An ACL user of before may poll and not announce: a warning names the rule, and no more than one."""
    assert f"`{RIGHTS}`" in Path("lb/README.md").read_text(encoding="utf-8")
    url = redis_url.replace("://", "://prom:secret@")
    user = ("ACL", "SETUSER", "prom", "reset", "on", ">secret", *RIGHTS.split())
    try:
        await redis.execute_command(*user)
        async with connect(Config(redis_url=url, redis_timeout_ms=5000)) as client:
            balancer = balancers.Announcing(client, 5.0)
            balancer.begin("127.0.0.1", 8090)
            await balancer.announce()
            assert (len(await found(redis)), caplog.messages) == (1, [])
            await balancer.end()
            await redis.execute_command(*user, "-zadd")
            for _ in range(3):
                await balancer.announce()
    finally:
        await redis.execute_command("ACL", "DELUSER", "prom")

    assert await found(redis) == []
    assert [f"needs the ACL rule {RIGHTS}" in one for one in caplog.messages] == [True]
