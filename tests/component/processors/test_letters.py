"""Dead letters on a real Redis: one a job, found by job, forgotten when told."""

import pytest
from redis.asyncio import Redis

from processors.letters import DeadLetter, DeadLetters
from storage.keys import DEAD_KEY
from storage.rights import rule


def letter(job_id: str, at: str) -> DeadLetter:
    """A letter of this job."""
    return DeadLetter(id=job_id, name="n", args=("m", "p"), error="E", tries=5, at=at)


async def test_dead_letters_are_found_by_job(redis: Redis) -> None:
    """One job has one letter, and the sweeper can ask which are dead."""
    dead = DeadLetters(redis)
    await dead.keep(letter("a", "2026-01-01T00:00:00.000Z"))
    await dead.keep(letter("a", "2026-01-01T00:00:01.000Z"))

    assert len(await dead.all()) == 1
    assert await dead.among(["a", "b"]) == {"a"}
    assert await dead.among([]) == set()


async def test_letters_are_listed_by_age_and_removed(redis: Redis) -> None:
    """The oldest first; what is removed is gone, what is not there is not counted."""
    dead = DeadLetters(redis)
    await dead.keep(letter("young", "2026-01-02T00:00:00.000Z"))
    await dead.keep(letter("old", "2026-01-01T00:00:00.000Z"))

    assert [one.id for one in await dead.all()] == ["old", "young"]
    assert await dead.remove(["old", "nobody"]) == 1
    assert await dead.remove([]) == 0
    assert [one.id for one in await dead.all()] == ["young"]


async def test_the_documented_rights_are_enough(redis: Redis, redis_url: str) -> None:
    """For all that sweeps and operators do with letters."""
    await redis.execute_command("ACL", "SETUSER", "app", "reset", "on", ">p", *rule().split())
    async with Redis.from_url(redis_url.replace("://", "://app:p@")) as client:
        dead = DeadLetters(client)
        for name in ("a", "b"):
            await dead.keep(letter(name, "2026-01-01T00:00:00.000Z"))
        assert await dead.purge(["a"]) == 1
        assert await dead.among(["a", "b", "c"]) == {"a", "b"}
        assert [one.id for one in await dead.all()] == ["b"]
        assert await dead.remove(["b"]) == 1


@pytest.mark.parametrize("rubbish", [b"", b"{}", b'{"id":"\xff"}', b"[" * 100_000])
async def test_a_letter_that_cannot_be_read_is_listed_all_the_same(rubbish: bytes, redis: Redis) -> None:
    """By its job, and it can be removed; the others are as they were."""
    dead, fine = DeadLetters(redis), letter("render_pair:b", "2026-01-02T00:00:00.000Z")
    await dead.keep(fine)
    await redis.hset(DEAD_KEY, "render_pair:a", rubbish)

    bad, other = await dead.all()
    assert (bad.id, bad.name, bad.reason, other) == ("render_pair:a", "render_pair", "unreadable", fine)
    assert await dead.remove([bad.id]) == 1


async def test_letters_of_several_redis_are_one_list(redis: Redis, redis_url: str) -> None:
    """Each Redis has those of its own jobs; who asks, lists or forgets means all."""
    async with Redis.from_url(redis_url.removesuffix("/0") + "/1") as other:
        await DeadLetters(redis).keep(letter("here", "2026-01-02T00:00:00.000Z"))
        await DeadLetters(other).keep(letter("there", "2026-01-01T00:00:00.000Z"))
        dead = DeadLetters(redis, other)

        assert await dead.among(["here", "there", "nowhere"]) == {"here", "there"}
        assert [one.id for one in await dead.all()] == ["there", "here"]
        assert await dead.remove(["here", "there"]) == 2
        assert await dead.all() == []
