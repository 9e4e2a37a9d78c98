"""What a worker holds, on real Redis: turns of shards, endings, beats, shards that go away and come back."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from processors.consumer import Consumer
from processors.metrics import Metrics
from storage.keys import LEASES_KEY
from storage.queue.claims import Claims, Room, Turn
from storage.queue.jobs import ON_TIME, Job, Queue
from storage.queue.lease import Again, Attempts, Claimed, Done


def renders(start: int, count: int) -> list[Job]:
    """That many jobs of as many posts."""
    return [Job("render_pair", "m", f"post{number}") for number in range(start, start + count)]


def consuming(
    *clients: Redis,
    lease_s: float = 60,
    worker: str = "w",
    lost: Callable[[str], None] = print,
    metrics: Metrics | None = None,
) -> AbstractAsyncContextManager[Consumer]:
    """Of a worker with these shards."""
    shards = {str(number): Claims(client, lease_s) for number, client in enumerate(clients)}
    return Consumer(shards, worker=worker, lease_s=lease_s, metrics=metrics or Metrics(), lost=lost)


class Flaky(Redis):
    """A Redis that can be unavailable to scripts, or whose next answer is lost after the script was run."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(connection_pool=redis.connection_pool)
        self.away = self.answer_is_lost = False
        self.calls = 0

    async def evalsha(self, *words: Any) -> Any:
        """Run a script, unless away."""
        self.calls += 1
        if self.away:
            raise RedisConnectionError("away")
        answer = await super().evalsha(*words)
        if self.answer_is_lost:
            self.answer_is_lost = False
            raise RedisConnectionError("lost")
        return answer


def consumer_of(claims: Claims, lost: Callable[[str], None] = print) -> Consumer:
    """Leases of a minute, but a heartbeat each tenth of a second."""
    return Consumer({"0": claims}, worker="w", lease_s=0.3, metrics=Metrics(), lost=lost)


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    """Look until it is so."""
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110 - what is looked at is in Redis
            await asyncio.sleep(0)


async def databases(redis: Redis, redis_url: str) -> Redis:
    """A second queue: another database of the same server."""
    return Redis.from_url(redis_url.removesuffix("/0") + "/1")


async def test_shards_take_turns(redis: Redis, redis_url: str) -> None:
    """With one slot at a time, two shards that always have work are served alike."""
    async with await databases(redis, redis_url) as other:
        await Queue(redis).enqueue(renders(0, 10))
        await Queue(other).enqueue(renders(10, 10))
        async with consuming(redis, other) as consumer:
            found: list[str] = []
            while len(found) < 10:  # a Redis that did not answer in time on a busy machine is left out for a moment
                found += [one.id for one in await consumer.claim(Room(1))]
            rest: list[str] = []
            while len(rest) < 10:
                rest += [one.id for one in await consumer.claim(Room(20))]

    assert len({*found, *rest}) == 20
    assert 4 <= sum(int(one.removeprefix("render_pair:post")) < 10 for one in found) <= 6


async def test_leaving_settles_what_ended(redis: Redis) -> None:
    """Endings are told together and none is forgotten; what did not end stays leased until its lease ends."""
    await Queue(redis).enqueue(renders(0, 10))
    async with consuming(redis) as consumer:
        claimed = await consumer.claim(Room(10))
        for one in claimed[:7]:
            consumer.settle(Done(one))
        consumer.settle(Again(claimed[7], Attempts(faults=1), 60))

    assert await redis.hlen(LEASES_KEY) == 2
    assert (await Queue(redis).depth()).counted == {"enqueued": 10, "finished": 7, "again": 1}


async def test_beats_hold_a_lease_and_tell_of_a_lost_one(redis: Redis) -> None:
    """Past its first lease a job is still ours; once another has it, we hear of it, and our end is refused."""
    await Queue(redis).enqueue(renders(0, 1))
    lost: list[str] = []
    metrics = Metrics()
    async with consuming(redis, lease_s=0.3, lost=lost.append, metrics=metrics) as consumer:
        (ours,) = await consumer.claim(Room(1))
        first = await redis.zscore(ON_TIME, ours.id)

        async def extended() -> bool:
            return (await redis.zscore(ON_TIME, ours.id) or 0) > (first or 0) + 300

        await until(extended)
        await redis.zadd(ON_TIME, {ours.id: 1})
        (theirs,) = await Claims(redis, 60).claim("other:1", 1)

        async def heard() -> bool:
            return bool(lost)

        await until(heard)
        consumer.settle(Done(ours))

    assert theirs.attempts.lapses == 1
    assert set(lost) == {ours.id}
    assert metrics.registry.get_sample_value("snapsurge_worker_refused_total") == 1
    assert await redis.hlen(LEASES_KEY) == 1


async def test_a_job_is_not_run_beside_itself(redis: Redis) -> None:
    """Claimed again by the worker that lost it and still runs it: put back for a while."""
    await Queue(redis).enqueue(renders(0, 1))
    metrics = Metrics()

    async def put_back() -> bool:
        return (await Queue(redis).depth()).deferred == 1

    async with consuming(redis, metrics=metrics) as consumer:
        (ours,) = await consumer.claim(Room(1))
        await redis.zadd(ON_TIME, {ours.id: 1})

        assert await consumer.claim(Room(1)) == []
        await until(put_back)
        consumer.settle(Done(ours))

    assert metrics.registry.get_sample_value("snapsurge_worker_lapses_total") == 1
    depth = await Queue(redis).depth()
    assert (depth.ready, depth.leased, depth.deferred) == (0, 0, 1)
    assert depth.counted == {"enqueued": 1, "lapsed": 1, "again": 1, "refused": 1}


async def test_an_end_is_told_by_the_claim_that_it_ends(redis: Redis) -> None:
    """Of an older claim of the same job nothing is said, so that nothing can be refused."""
    await Queue(redis).enqueue(renders(0, 1))
    async with consuming(redis) as consumer:
        (ours,) = await consumer.claim(Room(1))
        consumer.settle(Done(msgspec.structs.replace(ours, token="w:before")))

    assert (await Queue(redis).depth()).counted == {"enqueued": 1}


async def test_what_a_lost_answer_claimed_is_given_back_when_redis_is_back(redis: Redis) -> None:
    """Long before its lease ends, though the first tries to give it back fail too."""
    await Queue(redis).enqueue(renders(0, 1))
    flaky = Flaky(redis)

    async def ready() -> bool:
        return (await Queue(redis).depth()).ready == 1

    async def tried_twice() -> bool:
        return flaky.calls >= 3

    async with consumer_of(Claims(flaky, 60)) as consumer:
        flaky.answer_is_lost = True
        assert await consumer.claim(Room(1)) == []
        flaky.away = True
        await until(tried_twice)
        flaky.away = False
        await until(ready)


async def test_what_ended_while_redis_was_away_is_told_when_it_is_back(redis: Redis) -> None:
    """Without another end to remind of it."""
    await Queue(redis).enqueue(renders(0, 1))
    flaky = Flaky(redis)

    async def told() -> bool:
        return await redis.hlen(LEASES_KEY) == 0

    async with consumer_of(Claims(flaky, 60)) as consumer:
        (ours,) = await consumer.claim(Room(1))
        before, flaky.away = flaky.calls, True
        consumer.settle(Done(ours))

        async def tried() -> bool:
            return flaky.calls > before

        await until(tried)
        flaky.away = False
        await until(told)


async def test_leaving_does_not_wait_for_a_redis_that_is_silent(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not known to be away, and never answers: what it was not told is found by the lease's end."""
    monkeypatch.setattr("processors.consumer.CLOSE_S", 0.05)

    class Silent(Claims):
        async def settle_and_claim(self, token: str, room: Room, *rest: Any) -> Turn:
            if not room.free:
                await asyncio.Event().wait()
            return await super().settle_and_claim(token, room, *rest)

    await Queue(redis).enqueue(renders(0, 1))
    async with asyncio.timeout(20), consumer_of(Silent(redis, 60)) as consumer:
        (ours,) = await consumer.claim(Room(1))
        consumer.settle(Done(ours))

    assert await redis.hlen(LEASES_KEY) == 1


async def test_a_job_that_ended_during_a_beat_is_not_lost(redis: Redis) -> None:
    """The beat could not extend it because it was over."""
    asked, go, lost = asyncio.Event(), asyncio.Event(), list[str]()

    class Slow(Claims):
        async def extend(self, claimed: Sequence[Claimed]) -> list[Claimed]:
            asked.set()
            await go.wait()
            return list(claimed)

    async def told() -> bool:
        return await redis.hlen(LEASES_KEY) == 0

    await Queue(redis).enqueue(renders(0, 1))
    async with consumer_of(Slow(redis, 60), lost.append) as consumer:
        (ours,) = await consumer.claim(Room(1))
        asked.clear()
        await asked.wait()
        consumer.settle(Done(ours))
        await until(told)
        for _ in range(10):
            await asyncio.sleep(0)
        go.set()
        asked.clear()
        await asked.wait()

    assert lost == []


async def test_a_job_whose_settlement_is_not_answered_yet_is_not_lost(redis: Redis) -> None:
    """Redis has settled it, so the beat cannot extend it; the answer is on its way."""
    settled, beaten, lost = asyncio.Event(), asyncio.Event(), list[str]()

    class Late(Claims):
        async def settle_and_claim(self, *words: Any) -> Any:
            answer = await super().settle_and_claim(*words)
            if words[2]:
                settled.set()
                await beaten.wait()
            return answer

        async def extend(self, claimed: Sequence[Claimed]) -> list[Claimed]:
            found = await super().extend(claimed)
            if settled.is_set() and found:
                asyncio.get_running_loop().call_soon(beaten.set)
            return found

    await Queue(redis).enqueue(renders(0, 1))
    async with consumer_of(Late(redis, 60), lost.append) as consumer:
        (ours,) = await consumer.claim(Room(1))
        consumer.settle(Done(ours))
        await beaten.wait()

    assert lost == []


async def test_a_shard_that_is_away_is_not_asked_by_every_claim(redis: Redis) -> None:
    """Each would wait for its timeout; a beat finds it when it is back."""
    flaky = Flaky(redis)
    flaky.away = True
    async with Consumer({"0": Claims(flaky, 60)}, worker="w", lease_s=60, metrics=Metrics(), lost=print) as consumer:
        assert [await consumer.claim(Room(1)) for _ in range(5)] == [[]] * 5

    assert flaky.calls == 1


async def test_a_shard_that_is_away_is_left_out(redis: Redis, free_port: int, caplog: pytest.LogCaptureFixture) -> None:
    """One failure, one line in the log, and the other shard is served on."""
    await Queue(redis).enqueue(renders(0, 6))
    async with Redis(port=free_port) as absent, consuming(absent, redis) as consumer:
        found = [one for _ in range(6) for one in await consumer.claim(Room(1))]

    assert len(found) == 6
    assert caplog.text.count("is unavailable") == 1
