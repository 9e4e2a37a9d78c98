"""Several Redis as one queue: homes that hardly move, one depth, one that is away costs its own jobs alone."""

from collections import Counter

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from storage.keys import DEATHS_KEY
from storage.queue.jobs import Job, jobs_of
from storage.queue.shards import Shards, home, those_that_answer

NAMES = ["one:6379/0", "two:6379/0", "three:6379/0"]


def test_posts_spread_evenly_and_a_lost_shard_moves_only_its_own() -> None:
    """A third each, within a few percent; without one of three, the other two thirds stay."""
    posts = [f"post{number}" for number in range(3000)]
    before = {post: home(post, NAMES) for post in posts}

    assert all(900 < count < 1100 for count in Counter(before.values()).values())
    assert {post: home(post, reversed(NAMES)) for post in posts} == before
    for post in posts:
        if before[post] != NAMES[1]:
            assert home(post, [NAMES[0], NAMES[2]]) == before[post]


async def test_one_redis_is_the_usual_case(redis: Redis) -> None:
    """All jobs are there, once."""
    shards = Shards({"only": redis})

    assert await shards.enqueue([*jobs_of("m", "a"), *jobs_of("m", "b")]) == 4
    assert await shards.enqueue(jobs_of("m", "a")) == 0
    assert (await shards.depth()).ready == 4
    assert await shards.enqueue([]) == 0


async def test_lost_workers_are_told_to_every_shard_that_answers(redis: Redis, free_port: int) -> None:
    """Nobody lost is nothing told."""
    async with Redis(port=free_port) as absent:
        shards = Shards({"here": redis, "away": absent})
        await shards.note_deaths([])
        assert not await redis.exists(DEATHS_KEY)
        await shards.note_deaths(["one:7:a"])

    assert await redis.zcard(DEATHS_KEY) == 1


async def test_a_shard_that_is_away_costs_its_own_jobs_alone(redis: Redis, free_port: int) -> None:
    """The other shard has its jobs and its depth; with all away, there is an error."""
    jobs = [Job("render_pair", "m", f"post{number}") for number in range(100)]
    async with Redis(port=free_port) as absent:
        shards = Shards({"here": redis, "away": absent})
        here = [job for job in jobs if home(job.post_id, ["here", "away"]) == "here"]

        assert await shards.enqueue(jobs) == len(here)
        assert (await shards.depth()).ready == len(here)
        assert 20 < len(here) < 80
        with pytest.raises(RedisError):
            await shards.enqueue([job for job in jobs if job not in here])
        with pytest.raises(RedisError):
            await Shards({"away": absent}).depth()


async def test_a_fault_of_ours_is_no_shard_that_is_away() -> None:
    """Whatever is not Redis' silence is raised, though others answer."""

    async def answer() -> int:
        return 1

    async def fail() -> int:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        await those_that_answer([answer(), fail()])
