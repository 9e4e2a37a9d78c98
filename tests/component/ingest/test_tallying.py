"""What a node counts of the tries of a moment."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from ingest import tallying
from ingest.tallying import AGAIN_S, QUIET_S, Tallying
from storage.keys import TALLY_KEY, post_id
from storage.tallies import Tally, tallied
from tests.component.ingest.conftest import multipart, photo

MOMENT = "eu-20260101-aaaaaaaa"


def counting(redis: Redis, now: Callable[[], float] = lambda: 0.0) -> Tallying:
    """A node's tallying that spends a second of CPU between two readings."""
    readings = iter(range(1000))
    return Tallying(redis, "a", cpu=lambda: float(next(readings)), monotonic=now)


async def test_uploads_are_counted_by_outcome(make_client: Any, redis: Redis) -> None:
    """A new pair, the same again, other photos, and one that is refused for the service's sake."""
    async with make_client() as client:
        moment = await client.moment()
        made = await client.upload(moment)
        assert (await client.upload(moment)).status == 200
        other = multipart(("front", photo("red")), ("back", photo("navy")))
        assert (await client.upload(moment, body=other)).status == 409
        assert (await client.upload(moment, "bob", b"nothing")).status == 400
        assert (await client.upload("eu-west-20260101-nosuchmo")).status == 404

    found = await tallied(redis, moment)
    assert found.tally.tries == {"already-posted": 1, "bad-multipart": 1, "created": 1, "replayed": 1}
    assert (found.lives, found.refused, made.status) == (1, {}, 201)
    assert await tallied(redis, "eu-west-20260101-nosuchmo") == await tallied(redis, "none")


async def test_a_full_node_remembers_whom_it_refused(make_client: Any, redis: Redis) -> None:
    """By the digest in the post id, with the time by which the pair would be judged."""
    async with make_client(in_flight_requests_max=1, commit_wait_s=0.001) as client:
        moment = await client.moment()

        async def slow() -> Any:
            yield b"--x"
            answers.append(await client.upload(moment, "bob"))
            yield b"--x--\r\n"

        answers: list[Any] = []
        await client.upload(moment, "ann", slow())

    assert answers[0].status == 503
    found = await tallied(redis, moment)
    assert list(found.refused) == [post_id(moment, "bob")[:26]]
    assert found.tally.tries["overloaded"] == 1


async def test_a_redis_that_lost_them_gets_them_again(redis: Redis) -> None:
    """All refused pairs too, and also when nothing changed since."""
    now = [0.0]
    async with counting(redis, lambda: now[0]) as node:
        for user in ("ann", "bob"):
            node.ended(post_id(MOMENT, user), "overloaded", 7, retry=False, ours=True)
            await node.write()
        told = await tallied(redis, MOMENT)
        await redis.flushall()
        await node.write()
        assert (await tallied(redis, MOMENT)).lives == 0
        now[0] += AGAIN_S + 1

        await node.write()

        assert await tallied(redis, MOMENT) == told
        assert len(told.refused) == 2


async def test_a_failover_loses_no_refused_pair(redis: Redis) -> None:
    """The Redis that took over lacks the last write, and has those before."""
    async with counting(redis) as node:
        for number, user in enumerate(("ann", "bob", "cid")):
            node.ended(post_id(MOMENT, user), "overloaded", 7, retry=False, ours=True)
            await node.write()
            if number == 0:
                before = {key: await redis.dump(key) for key in await redis.keys("*")}
            if number == 1:
                for key, value in before.items():
                    await redis.restore(key, 60_000, value, replace=True)

    assert len((await tallied(redis, MOMENT)).refused) == 3


async def test_pairs_beyond_what_a_node_remembers_are_told_as_missing(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as the limit, however often, are complete; one more is not, and is counted as a try."""
    monkeypatch.setattr(tallying, "REFUSED_MAX", 2)
    async with counting(redis) as node:
        for user in ("ann", "bob", "ann"):
            node.ended(post_id(MOMENT, user), "overloaded", 7, retry=False, ours=True)
        await node.write()
        assert not (await tallied(redis, MOMENT)).cut
        node.ended(post_id(MOMENT, "cid"), "overloaded", 7, retry=False, ours=True)

    found = await tallied(redis, MOMENT)
    assert (found.cut, len(found.refused), found.tally.tries) == (True, 2, {"overloaded": 4})


async def test_a_moment_that_was_forgotten_counts_on(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was told of it stays, when another moment took its place."""
    monkeypatch.setattr(tallying, "MOMENTS_MAX", 1)
    async with counting(redis) as node:
        for moment in ("eu-1", "us-1", "eu-1"):
            node.ended(post_id(moment, "ann"), "created", 7, retry=False, ours=False)
            await node.write()

    assert (await tallied(redis, "eu-1")).tally.tries == {"created": 2}


async def test_a_quiet_moment_is_forgotten(redis: Redis) -> None:
    """Else nodes would keep it in Redis for as long as they live. A try after that counts on."""
    now = [0.0]
    async with counting(redis, lambda: now[0]) as node:
        node.ended(post_id(MOMENT, "ann"), "created", 7, retry=False, ours=False)
        await node.write()
        for after_s, told in ((QUIET_S, True), (QUIET_S + AGAIN_S + 1, True), (QUIET_S + 3 * AGAIN_S, False)):
            now[0] = after_s
            await redis.expire(TALLY_KEY + MOMENT, 60)
            await node.write()
            assert (await redis.ttl(TALLY_KEY + MOMENT) > 60) is told
        node.ended(post_id(MOMENT, "bob"), "created", 7, retry=False, ours=False)

    assert (await tallied(redis, MOMENT)).tally.tries == {"created": 2}


async def test_a_write_that_was_cut_off_is_repeated(redis: Redis) -> None:
    """As by the end of the node, whose last write has the last second."""
    async with counting(redis) as node:
        node.ended(post_id(MOMENT, "ann"), "created", 7, retry=False, ours=False)
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(node.write())
            await asyncio.sleep(0)
            writing.cancel()

    assert (await tallied(redis, MOMENT)).tally.tries == {"created": 1}


async def test_many_refused_pairs_go_in_several_calls(redis: Redis) -> None:
    """Also after Redis lost the first of them."""
    async with counting(redis) as node:
        users = [f"u{number}" for number in range(tallying.BATCH + 1)]
        for user in users[:2]:
            node.ended(post_id(MOMENT, user), "overloaded", 7, retry=False, ours=True)
        await node.write()
        await redis.flushall()
        for user in users:
            node.ended(post_id(MOMENT, user), "overloaded", 7, retry=False, ours=True)
        await node.write()

    assert len((await tallied(redis, MOMENT)).refused) == len(users)


async def test_cpu_time_goes_to_the_moments_that_had_tries(redis: Redis) -> None:
    """In proportion; an idle second belongs to none. The last totals are written at the end."""
    async with counting(redis) as node:
        for moment, count in (("eu-1", 3), ("us-1", 1)):
            for number in range(count):
                node.ended(post_id(moment, f"u{number}"), "created", 7, retry=bool(number), ours=False)
        await node.write()
        await node.write()
        node.ended(post_id("eu-1", "late"), "replayed", 7, retry=False, ours=False)

    assert (await tallied(redis, "eu-1")).tally == Tally("", {"created": 3, "replayed": 1}, 2, 1750)
    assert (await tallied(redis, "us-1")).tally == Tally("", {"created": 1}, 0, 250)
