"""The claim scripts on a real Redis: order, fairness of cost, fencing, what a restart and a lost answer leave behind.

Which job is whose after any sequence of calls is tested in test_lease.py, beside a model.
"""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from storage.keys import CLOCK_KEY, DEATHS_KEY, LEASES_KEY
from storage.queue.claims import _SCRIPTS, Claims, note_deaths
from storage.queue.jobs import DEAR, FLAGS, LATE, LATER, ON_TIME, Job, Queue, jobs_of
from storage.queue.lease import DEATHS_MS, Again, Attempts, Done


def renders(count: int) -> list[Job]:
    """That many jobs of as many posts."""
    return [Job("render_pair", "eu-1", f"post{number}") for number in range(count)]


async def commands(redis: Redis) -> int:
    """How many commands this Redis ran since its counters were reset, those inside scripts included."""
    found: dict[str, Any] = await redis.info("commandstats")
    return sum(
        int(one["calls"]) for name, one in found.items() if name not in {"cmdstat_info", "cmdstat_config|resetstat"}
    )


async def test_the_most_urgent_queue_is_claimed_first(redis: Redis) -> None:
    """Flags, renders on time, late ones, what was put off; or any other order that the worker asks for."""
    waiting = [Job("complete_media", "m", "a"), *jobs_of("m", "b", late=True), *jobs_of("m", "c")]
    await Queue(redis).enqueue(waiting)
    claims = Claims(redis, 6)

    first = await claims.claim("w:1", 1, (FLAGS, ON_TIME, LATE, LATER))
    rest = await claims.claim("w:2", 9, (LATER, ON_TIME, LATE, FLAGS))

    assert [one.queue for one in first] == [FLAGS, ON_TIME]
    assert [one.id for one in rest] == ["complete_media:a", "render_pair:b", "flag_late:c"]
    assert await claims.claim("w:3", 9) == []


async def test_a_dear_job_is_put_aside_and_claimed_alone(redis: Redis) -> None:
    """It leaves its queue for that of its like, with its counts; where anything else is ready it is not claimed."""
    await Queue(redis).enqueue(renders(4))
    claims = Claims(redis, 6)
    found = await claims.claim("w:1", 4)
    aside = [Again(one, Attempts(faults=1), queue=DEAR) for one in found[:2]]
    assert await claims.settle([*aside, *(Again(one, Attempts()) for one in found[2:])]) == [True] * 4
    assert [await redis.zcard(queue) for queue in (ON_TIME, DEAR)] == [2, 2]

    others = await claims.claim("w:2", 4)
    dear = await claims.claim("w:3", 4)

    assert [one.queue for one in others] == [ON_TIME, ON_TIME]
    assert [(one.queue, one.attempts.faults) for one in dear] == [(DEAR, 1)]
    assert await claims.settle([Done(one) for one in [*others, *dear]]) == [True] * 3


async def test_a_dear_job_whose_turn_it_is_comes_without_others(redis: Redis) -> None:
    """A worker has one render slot: what came with it would only wait."""
    await Queue(redis).enqueue(renders(2))
    claims = Claims(redis, 6)
    one, _ = found = await claims.claim("w:1", 2)
    await claims.settle([Again(one, Attempts(), queue=DEAR), Again(found[1], Attempts())])

    assert [job.queue for job in await claims.claim("w:2", 9, (DEAR, ON_TIME))] == [DEAR]


async def test_a_job_costs_few_commands(redis: Redis) -> None:
    """Claim and settlement of a batch, everything inside the scripts counted, are at most six commands a job."""
    await Queue(redis).enqueue(renders(40))
    claims = Claims(redis, 6)
    await claims.claim("warm:1", 0)
    await redis.config_resetstat()
    for number in range(10):
        claimed = await claims.claim(f"w:{number}", 4)
        assert await claims.settle([Done(one) for one in claimed]) == [True] * 4

    assert await commands(redis) / 40 <= 6
    assert not await redis.keys("arq:*")


async def test_a_lease_that_ended_is_claimed_again_and_counted(redis: Redis) -> None:
    """Elsewhere, with a lapse; the first holder is fenced and its end refused, which is counted too."""
    await Queue(redis).enqueue(renders(1))
    (first,) = await Claims(redis, 0.001).claim("zombie:1", 1)
    await until_ready(redis)
    (second,) = await Claims(redis, 60).claim("heir:1", 1)

    assert (second.attempts, second.deaths) == (Attempts(lapses=1), 1)
    assert await Claims(redis, 60).extend([first, second]) == [first]
    assert await Claims(redis, 60).settle([Done(first), Again(first, Attempts()), Done(second)]) == [False, False, True]
    assert (await Queue(redis).depth()).counted == {"enqueued": 1, "lapsed": 1, "refused": 2, "finished": 1}


async def test_workers_that_were_lost_are_counted_once_each(redis: Redis) -> None:
    """Two jobs of one worker are one death, of two workers two."""
    await Queue(redis).enqueue(renders(3))
    claims = Claims(redis, 0.001)
    await claims.claim("one:1", 1)
    await claims.claim("other:1", 1)
    await claims.claim("other:2", 1)
    await until_ready(redis)

    assert [one.deaths for one in await Claims(redis, 60).claim("heir:1", 3)] == [2, 2, 2]


async def test_deaths_that_others_saw_count_too(redis: Redis) -> None:
    """Who was noted and then found by its lapse is one death."""
    await Queue(redis).enqueue(renders(1))
    await Claims(redis, 0.001).claim("one:7:a:1", 1)
    await note_deaths(redis, ["one:7:a", "idle:8:b"])
    await until_ready(redis)

    assert [one.deaths for one in await Claims(redis, 60).claim("heir:9:c:1", 1)] == [2]


async def test_deaths_are_forgotten_after_ten_minutes(redis: Redis) -> None:
    """One of long ago does not count beside one of now, and where no further one comes nothing is kept."""
    await Queue(redis).enqueue(renders(1))
    await Claims(redis, 60).claim("one:1", 1)
    await redis.zadd(ON_TIME, {"render_pair:post0": 1})
    await redis.zadd(DEATHS_KEY, {"long ago": 1})

    assert [one.deaths for one in await Claims(redis, 60).claim("heir:1", 1)] == [1]
    assert 0 < await redis.pttl(DEATHS_KEY) <= DEATHS_MS
    await redis.persist(DEATHS_KEY)
    await note_deaths(redis, ["other"])
    assert 0 < await redis.pttl(DEATHS_KEY) <= DEATHS_MS


async def test_a_claim_tells_how_long_a_job_was_ready(redis: Redis) -> None:
    """In seconds, by Redis' clock: from a backlog's age follows what a render leaves out."""
    await Queue(redis).enqueue(renders(1))
    seconds, _ = await redis.time()
    await redis.zadd(ON_TIME, {"render_pair:post0": (seconds - 40) * 1000})
    (claimed,) = await Claims(redis, 60).claim("w:1", 1)

    assert 40 <= claimed.waited_s < 100


async def test_a_retry_waits_and_remembers(redis: Redis) -> None:
    """Ready after its wait, with its counts; handed back, at once."""
    await Queue(redis).enqueue(renders(1))
    claims = Claims(redis, 60)
    (claimed,) = await claims.claim("w:1", 1)
    await claims.settle([Again(claimed, Attempts(faults=1, outages=2), 60)])
    assert await claims.claim("w:2", 1) == []
    assert ((depth := await Queue(redis).depth()).leased, depth.deferred) == (0, 1)

    await redis.zadd(ON_TIME, {claimed.id: 1})
    (claimed,) = await claims.claim("w:3", 1)
    assert claimed.attempts == Attempts(faults=1, outages=2)
    await claims.settle([Again(claimed, claimed.attempts)])
    (again,) = await claims.claim("w:4", 1)
    assert again.attempts == claimed.attempts


async def test_a_job_that_is_queued_anew_starts_from_nothing(redis: Redis) -> None:
    """The tries before its end are forgotten with it."""
    await Queue(redis).enqueue(renders(1))
    claims = Claims(redis, 60)
    (claimed,) = await claims.claim("w:1", 1)
    await claims.settle([Again(claimed, Attempts(faults=1))])
    (claimed,) = await claims.claim("w:2", 1)
    await claims.settle([Done(claimed)])
    await Queue(redis).enqueue(renders(1))

    assert [one.attempts for one in await claims.claim("w:3", 1)] == [Attempts()]


async def test_a_job_without_a_body_is_dropped(redis: Redis) -> None:
    """Its body expired after a week: there is nothing to run, and it must not clog the head."""
    await Queue(redis).enqueue(renders(2))
    await redis.delete("arq:job:render_pair:post0")

    assert [one.id for one in await Claims(redis, 6).claim("w:1", 2)] == ["render_pair:post1"]
    assert await redis.zcard(ON_TIME) == 1


async def test_a_lost_job_without_a_body_leaves_nothing(redis: Redis) -> None:
    """No lease, which would be a lapse of the job's next life, and no death to the job that is claimed beside it."""
    await Queue(redis).enqueue(renders(2))
    await Claims(redis, 60).claim("gone:1", 1)
    await redis.delete("arq:job:render_pair:post0")
    await redis.zadd(ON_TIME, {"render_pair:post0": 1})
    (beside,) = await Claims(redis, 60).claim("heir:1", 2)

    assert (beside.id, beside.deaths) == ("render_pair:post1", 0)
    assert await redis.hkeys(LEASES_KEY) == [b"render_pair:post1"]


async def test_a_letter_is_kept_by_who_holds_the_job(redis: Redis) -> None:
    """The holder buries the job; a fenced worker does not."""
    await Queue(redis).enqueue(renders(1))
    (claimed,) = await Claims(redis, 60).claim("w:1", 1)
    fenced = type(claimed)(claimed.id, b"", claimed.queue, "another:1")

    assert await Claims(redis, 60).settle([Done(fenced, b"no")]) == [False]
    assert await redis.hgetall("snapsurge:dead") == {}
    assert await Claims(redis, 60).settle([Done(claimed, b"yes")]) == [True]
    assert await redis.hgetall("snapsurge:dead") == {claimed.id.encode(): b"yes"}
    assert (await Queue(redis).depth()).counted == {"enqueued": 1, "refused": 1, "dead": 1}
    assert await redis.zcard(ON_TIME) == 0


async def test_what_a_lost_answer_claimed_is_given_back(redis: Redis) -> None:
    """The jobs of that token are ready again with what they were, those of others stay."""
    await Queue(redis).enqueue(renders(3))
    claims = Claims(redis, 60)
    await claims.claim("w:1", 2)
    await claims.claim("w:2", 1)

    assert await claims.release("w:1") == 2
    assert [(one.attempts, one.deaths) for one in await claims.claim("w:3", 3)] == [(Attempts(), 0)] * 2


async def test_a_restart_of_redis_is_no_lapse(redis: Redis) -> None:
    """It has forgotten the scripts; whoever comes first extends every lease, since nobody could meanwhile."""
    await Queue(redis).enqueue(renders(1))
    (claimed,) = await Claims(redis, 0.001).claim("w:1", 1)
    await until_ready(redis)
    await restarted(redis)

    assert await Claims(redis, 60).claim("other:1", 1) == []
    assert await Claims(redis, 60).settle([Done(claimed)]) == [True]


async def test_a_restart_of_redis_is_noticed_once(redis: Redis) -> None:
    """Whoever comes first teaches it all the scripts, or the next one would extend every lease again."""
    await redis.script_flush()
    await Claims(redis, 60).claim("w:1", 1)

    assert await redis.script_exists(*(one.digest for one in _SCRIPTS)) == [True] * len(_SCRIPTS)


async def test_a_restart_of_redis_shortens_no_lease(redis: Redis) -> None:
    """Whoever comes first may have leases of another length."""
    await Queue(redis).enqueue(renders(1))
    await Claims(redis, 60).claim("w:1", 1)
    until = await redis.zscore(ON_TIME, "render_pair:post0")
    await restarted(redis)
    await Claims(redis, 0.001).claim("other:1", 1)

    assert await redis.zscore(ON_TIME, "render_pair:post0") == until


async def test_after_a_restart_one_worker_extends_the_leases(redis: Redis) -> None:
    """A thousand workers find the scripts gone at once; if each read all leases, Redis would do nothing else."""
    await Queue(redis).enqueue(renders(1))
    await Claims(redis, 60).claim("w:1", 1)
    await restarted(redis)
    for length_s in (60, 600):
        await redis.script_flush()
        await Claims(redis, length_s).claim("other:1", 1)
    seconds, _ = await redis.time()

    assert await redis.zcount(ON_TIME, "-inf", (seconds + 300) * 1000) == 1


async def restarted(redis: Redis) -> None:
    """What claims see of a restart: no scripts, and another run of the server than the one that is noted."""
    await redis.script_flush()
    await redis.hdel(CLOCK_KEY, "run")  # type: ignore[misc] # redis-py's types


async def test_workers_at_once_never_share_a_job(redis: Redis) -> None:
    """Thirty claims race for a hundred jobs."""
    await Queue(redis).enqueue(renders(100))
    claims = Claims(redis, 60)
    found = await asyncio.gather(*(claims.claim(f"w{number}:1", 4) for number in range(30)))

    ids = [one.id for some in found for one in some]
    assert len(ids) == len(set(ids)) == 100


@pytest.mark.parametrize("count", [0, 1, 4500])
async def test_any_number_can_be_extended(redis: Redis, count: int) -> None:
    """In batches that Lua's stack can take."""
    await Queue(redis).enqueue(renders(count))
    claims = Claims(redis, 60)
    held = [one for number in range(9) for one in await claims.claim(f"w:{number}", 500)]
    seconds, _ = await redis.time()

    assert len(held) == count
    assert await Claims(redis, 600).extend(held) == []
    assert await redis.zcount(ON_TIME, (seconds + 300) * 1000, "+inf") == count


async def until_ready(redis: Redis) -> None:
    """Until Redis' clock has passed the end of every lease, a millisecond or two."""
    scores = [score for _, score in await redis.zrange(ON_TIME, 0, -1, withscores=True)]
    while True:
        seconds, micros = await redis.time()
        if seconds * 1000 + micros // 1000 > max(scores):
            return
