"""Scripts on a real Redis: called by their digest, several together, also when Redis has lost some of them."""

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from storage.scripts import Script, run, run_one

ADD = Script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
READ = Script("return redis.call('GET', KEYS[1])")


async def test_calls_share_a_round_trip_and_answer_in_order(redis: Redis) -> None:
    """Also when Redis lacks the script of one, which then runs after the others."""
    assert await run(redis, ADD(["n"], 2), ADD(["n"], 3)) == [2, 5]
    await redis.script_flush()
    await redis.script_load(READ.text)
    await redis.config_resetstat()

    assert await run(redis, READ(["n"]), ADD(["n"], 1), READ(["n"])) == [b"5", 6, b"5"]
    assert (await redis.info("stats"))["total_reads_processed"] <= 4


async def test_a_script_is_sent_once(redis: Redis) -> None:
    """After that its digest is enough."""
    await redis.script_flush()
    await redis.config_resetstat()
    for _ in range(5):
        await run_one(redis, ADD(["n"], 1))
    stats = await redis.info("commandstats")

    assert (stats["cmdstat_eval"]["calls"], stats["cmdstat_evalsha"]["calls"]) == (1, 5)


async def test_the_first_error_is_raised_and_undoes_nothing(redis: Redis) -> None:
    """The calls are no transaction."""
    wrong = Script("return redis.call('INCR')")
    with pytest.raises(ResponseError):
        await run(redis, ADD(["n"], 1), wrong(), ADD(["n"], 1))

    assert await redis.get("n") == b"2"
