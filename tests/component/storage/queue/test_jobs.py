"""The queue on a real Redis: many jobs in one call, no doubles, and stock arq runs them."""

import asyncio
from typing import Any

from arq import Worker, func
from arq.connections import ArqRedis
from arq.constants import default_queue_name
from redis.asyncio import Redis

from storage.keys import DEAD_KEY, PURGED_KEY
from storage.queue import jobs as queue
from storage.queue.jobs import DEAR, FLAGS, LATE, LATER, ON_TIME, QUEUES, Depth, Job, Queue, jobs_of


def jobs(count: int) -> list[Job]:
    """That many jobs of as many posts."""
    return [Job("render_pair", "eu-1", f"post{number}") for number in range(count)]


def test_an_accepted_pair_needs_two_jobs() -> None:
    """The cheap one first, each with an id of its own."""
    assert jobs_of("eu-1", "p") == (Job("flag_late", "eu-1", "p"), Job("render_pair", "eu-1", "p"))
    assert [job.id for job in jobs_of("eu-1", "p")] == ["flag_late:p", "render_pair:p"]


def test_each_job_knows_its_queue() -> None:
    """Flags first, then renders on time, late ones, what was put off: the order in which they are claimed."""
    assert [job.queue for job in jobs_of("eu-1", "p")] == [FLAGS, ON_TIME]
    assert [job.queue for job in jobs_of("eu-1", "p", late=True)] == [FLAGS, LATE]
    assert Job("complete_media", "eu-1", "p").queue == LATER
    assert QUEUES == (FLAGS, ON_TIME, LATE, DEAR, LATER)
    assert default_queue_name == ON_TIME


def test_bodies_are_data_not_code() -> None:
    """msgpack there and back, the words that arq uses."""
    assert queue.decode(queue.encode({"f": "render_pair", "a": ["m", "p"], "k": {}})) == {
        "f": "render_pair",
        "a": ["m", "p"],
        "k": {},
    }
    assert queue.decode(queue.encode({"r": ValueError("truncated")})) == {"r": "ValueError('truncated')"}


async def test_a_thousand_jobs_in_one_call(redis: Redis) -> None:
    """All are queued, and the depth says so."""
    assert await Queue(redis).enqueue(jobs(1000)) == 1000
    assert (await Queue(redis).depth()).ready == 1000
    assert await Queue(redis).enqueue([]) == 0


async def test_a_job_is_queued_once(redis: Redis) -> None:
    """Told again, by many at once, and twice in one call: one job each."""
    added = await asyncio.gather(*(Queue(redis).enqueue(jobs(10) + jobs(10)) for _ in range(8)))

    assert sorted(added) == [0] * 7 + [10]
    assert await redis.zcard(default_queue_name) == 10


async def test_a_job_that_is_queued_anew_is_neither_dead_nor_purged(redis: Redis) -> None:
    """Its dead letter and the mark of a purged one go; those of other jobs stay."""
    one, other = (job.id for job in jobs(2))
    await redis.hset(DEAD_KEY, mapping={one: "letter", other: "letter"})
    await redis.zadd(PURGED_KEY, {one: 1, other: 1})
    await Queue(redis).enqueue(jobs(1))

    assert await redis.hkeys(DEAD_KEY) == await redis.zrange(PURGED_KEY, 0, -1) == [other.encode()]


async def test_jobs_that_are_not_queued_are_found(redis: Redis) -> None:
    """By their bodies, also while they run."""
    await Queue(redis).enqueue(jobs(2))

    assert [one.id for one in await Queue(redis).unqueued(jobs(4))] == [one.id for one in jobs(4)[2:]]


async def test_the_depth_is_told_by_redis_own_clock(redis: Redis) -> None:
    """The oldest ready job's age in any queue but the last; a job that is due later, a retry, is not ready."""
    assert await Queue(redis).depth() == Depth(0, 0.0)
    seconds, _ = await redis.time()
    await redis.zadd(LATE, {"old": (seconds - 60) * 1000, "retry": (seconds + 60) * 1000})
    await redis.zadd(LATER, {"put off": (seconds - 600) * 1000})
    depth = await Queue(redis).depth()

    assert (depth.ready, depth.leased, depth.deferred) == (2, 0, 1)
    assert 60 <= depth.oldest_s < 70
    await redis.zrem(LATE, "old")
    assert (await Queue(redis).depth()).oldest_s == 0


async def test_what_was_queued_is_counted(redis: Redis) -> None:
    """Doubles are not."""
    await Queue(redis).enqueue(jobs(5))
    await Queue(redis).enqueue(jobs(7))

    assert (await Queue(redis).depth()).counted == {"enqueued": 7}
    await redis.hset("snapsurge:queue", mapping={"rubbish": "much", b"\xff": "1"})
    assert (await Queue(redis).depth()).counted == {"enqueued": 7, "\ufffd": 1}


def test_depths_add_up() -> None:
    """Of several Redis: sums, and the oldest age."""
    one, other = Depth(1, 2.0, 3, 4, {"lapsed": 5}), Depth(10, 1.0, 30, 40, {"lapsed": 50, "dead": 60})

    assert one + other == Depth(11, 2.0, 33, 44, {"lapsed": 55, "dead": 60})


async def test_stock_arq_runs_the_jobs(redis: Redis, redis_url: str) -> None:
    """A worker of arq's own, told only how bodies are coded, runs those of a queue; then the queue is empty."""
    ran: list[tuple[str, str, str]] = []

    async def render_pair(context: dict[str, Any], moment_id: str, post_id: str) -> None:
        ran.append((context["job_id"], moment_id, post_id))

    renders = [Job("render_pair", "eu-1", one) for one in "ab"]
    await Queue(redis).enqueue(renders)
    async with ArqRedis.from_url(redis_url) as connection:
        worker = Worker(
            functions=[func(render_pair, name="render_pair")],
            redis_pool=connection,
            burst=True,
            poll_delay=0,
            handle_signals=False,
            keep_result=0,
            job_serializer=queue.encode,
            job_deserializer=queue.decode,
        )
        await worker.main()  # not worker.close(): arq 0.28 closes by a name that redis-py 5 deprecates

    assert sorted(ran) == [(job.id, "eu-1", job.post_id) for job in renders]
    assert (worker.jobs_complete, worker.jobs_failed) == (2, 0)
    assert (await Queue(redis).depth()).ready == 0
    assert await Queue(redis).enqueue(renders) == 2
