"""Announcing on real Redis: what is queued where, and what a shard that is away costs others."""

import logging
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ingest import announcing as announcing_module
from ingest import outages
from ingest.announcing import AGAIN_POSTS, Announcer
from storage.index import Index
from storage.queue.jobs import FLAGS, LATE, ON_TIME
from storage.queue.shards import home
from storage.records import Photo, Photos, Post
from storage.sharded_index import ShardedIndex

SHOT = Photo(sha256="0" * 64, bytes=1, width=64, height=64, format="jpeg")


def post(number: int) -> Post:
    """A post as just committed."""
    return Post(
        id=f"post{number}",
        moment_id="m",
        user_id=f"user {number}",
        received_at="2026-01-01T00:00:00.000Z",
        state="accepted",
        photos=Photos(front=SHOT, back=SHOT),
    )


def announcer(redis: Redis, shards: dict[str, Redis]) -> Announcer:
    """Of a node with these."""
    return Announcer(ShardedIndex(redis, shards), shards, linger_s=0)


async def test_a_post_is_told_and_its_jobs_are_queued_by_lateness(redis: Redis) -> None:
    """The index knows it, the render waits among those on time or the late ones, the flag with all flags."""
    async with announcer(redis, {"": redis}) as announcing:
        for number, late in ((1, False), (2, True)):
            await announcing.add(post(number), late=late, proof=announcing.proof(post(number).id))

    assert [await redis.zrange(queue, 0, -1) for queue in (FLAGS, ON_TIME, LATE)] == [
        [b"flag_late:post1", b"flag_late:post2"],
        [b"render_pair:post1"],
        [b"render_pair:post2"],
    ]
    assert await Index(redis).posts(["post1", "post2"]) == [post(1), post(2)]


async def test_posts_that_redis_refused_are_reported_when_it_takes_writes(
    redis: Redis, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the sweeper: their jobs are queued. The log has the Redis, and the end."""
    monkeypatch.setattr(outages, "QUIET_S", 0.0)
    caplog.set_level(logging.INFO)
    posts = [post(number) for number in range(AGAIN_POSTS + 1)]
    async with announcer(redis, {"one": redis}) as announcing:
        await redis.config_set("maxmemory", 1)  # every write is refused with OOM
        try:
            for one in posts:
                with pytest.raises(RedisError, match=r"memory|a moment ago"):
                    await announcing.add(one, late=False)
            assert await redis.zcard(ON_TIME) == 0
        finally:
            await redis.config_set("maxmemory", 0)
        while await redis.zcard(ON_TIME) < len(posts):  # pytest-timeout bounds the wait
            await redis.ping()
        while "accepts writes again" not in caplog.text:  # without another upload
            await redis.ping()

    said = [record.message for record in caplog.records if record.message.startswith("Redis one")]
    assert [line.partition(" (")[0] for line in said][:1] == ["Redis one rejects writes"]
    assert said[1:] == ["Redis one accepts writes again: all posts that were stored meanwhile are reported"]
    assert await redis.zcard(FLAGS) == len(posts)


async def test_a_shard_that_is_away_fails_its_own_posts_alone(
    redis: Redis, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Theirs is an error each time, although only the first has asked; the others' are queued and in the index."""
    monkeypatch.setattr(announcing_module, "PROOFS_S", 3600.0)
    asked: list[str] = []

    class Absent(Redis):
        """A Redis that is not there, and counts who asks."""

        def pipeline(self, *args: Any, **kwargs: Any) -> Any:
            """Somebody asks."""
            asked.append("asked")
            return super().pipeline(*args, **kwargs)

    posts = [post(number) for number in range(20)]
    async with Absent(port=free_port) as absent:
        shards = {"here": redis, "away": absent}
        async with announcer(redis, shards) as announcing:
            asked.clear()  # for a proof, at the start
            for one in posts:
                if home(one.id, shards) == "here":
                    await announcing.add(one, late=False, proof=announcing.proof(one.id))
                else:
                    with pytest.raises(RedisError):
                        await announcing.add(one, late=False)

    here = [one.id for one in posts if home(one.id, shards) == "here"]
    assert 0 < len(here) < 20
    assert await redis.zcard(ON_TIME) == len(here)
    assert len(asked) == 1
    assert await Index(redis).posts([one.id for one in posts]) == [one if one.id in here else None for one in posts]


async def cut_off(redis: Redis, announcing: Announcer, *posts: Post) -> None:
    """Report posts while the node's Redis takes no writes: the node owes them. They have good proofs."""
    await redis.config_set("maxmemory", 1)
    for one in posts:
        with pytest.raises(RedisError):
            await announcing.add(one, late=False, proof=announcing.proof(one.id))


@pytest.mark.parametrize("lost", [False, True], ids=["redis kept all", "redis lost all"])
async def test_what_a_node_owes_is_no_entry_once_redis_lost_its_data(redis: Redis, *, lost: bool) -> None:
    """It may be deleted since, by another node, and the deletion lost: only the jobs are queued, which look."""
    index, posts = Index(redis), [post(1), post(2)]
    async with announcer(redis, {"": redis}) as announcing:
        await cut_off(redis, announcing, *posts)
        await index.forget(posts[0].id, "m", "f" * 32)  # FORGET may exceed the memory
        if lost:
            await redis.flushall()
        await redis.config_set("maxmemory", 0)
        while await redis.zcard(FLAGS) < 2:  # pytest-timeout bounds the wait
            await redis.ping()

    assert await index.posts([one.id for one in posts]) == [None, None if lost else posts[1]]
    assert await redis.zrange(ON_TIME, 0, -1) == [b"render_pair:post1", b"render_pair:post2"]


async def test_a_proof_is_renewed_without_uploads(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the first post after a quiet hour, and after Redis lost its data, is an entry at once."""
    monkeypatch.setattr(announcing_module, "PROOFS_S", 0.01)
    async with announcer(redis, {"": redis}) as announcing:
        first = announcing.proof("post1")
        await redis.flushall()
        while announcing.proof("post1").partition("@")[0] == first.partition("@")[0]:  # pytest-timeout bounds the wait
            await redis.ping()
        await announcing.add(post(1), late=False, proof=first)
        await announcing.add(post(2), late=False, proof=announcing.proof("post2"))

    assert await Index(redis).posts(["post1", "post2"]) == [None, post(2)]


async def test_a_node_starts_without_redis(free_port: int) -> None:
    """It has no proof, and goes on asking."""
    async with Redis(port=free_port) as absent, announcer(absent, {"": absent}) as announcing:
        assert announcing.proof("post1") == ""
