"""One turn on a real Redis: settle and claim together, claim ahead, and what is due next. Leases: test_claims.py."""

from redis.asyncio import Redis

from storage.keys import LEASES_KEY
from storage.queue.claims import Claims, Room
from storage.queue.jobs import FLAGS, LATE, ON_TIME, Job, Queue, jobs_of
from storage.queue.lease import Again, Attempts, Done


def renders(count: int) -> list[Job]:
    """That many jobs of as many posts."""
    return [Job("render_pair", "eu-1", f"post{number}") for number in range(count)]


async def test_a_turn_settles_and_then_claims(redis: Redis) -> None:
    """A job that is handed back in a turn is ready in the same turn; what ended leaves nothing behind."""
    await Queue(redis).enqueue(renders(2))
    claims = Claims(redis, 60)
    first, second = await claims.claim("w:1", 2)

    turn = await claims.settle_and_claim("w:2", Room(2), [Done(first), Again(second, Attempts(faults=1))])

    assert turn.kept == [True, True]
    assert [(one.id, one.attempts.faults) for one in turn.claimed] == [(second.id, 1)]
    assert await redis.hkeys(LEASES_KEY) == [second.id.encode()]


async def test_jobs_are_claimed_ahead_and_flags_beside_them(redis: Redis) -> None:
    """Flags have room of their own, however many slots are free."""
    await Queue(redis).enqueue([job for number in range(9) for job in jobs_of("m", f"p{number}")])

    turn = await Claims(redis, 60).settle_and_claim("w:1", Room(1, ahead=3, flags=5))

    assert [one.queue for one in turn.claimed] == [FLAGS] * 5 + [ON_TIME] * 4
    assert turn.next_ms == -1


async def test_a_job_of_a_lost_worker_is_not_claimed_ahead(redis: Redis) -> None:
    """It may kill the next worker too, which should hold few others then: the claim leaves the rest to be found."""
    await Queue(redis).enqueue(renders(6))
    lost = await Claims(redis, 60).settle_and_claim("lost:1", Room(1, ahead=5))
    assert len(lost.claimed) == 6
    await redis.zadd(ON_TIME, {one.id: 1 for one in lost.claimed})  # their leases end

    turn = await Claims(redis, 60).settle_and_claim("heir:1", Room(2, ahead=5))

    assert [one.attempts.lapses for one in turn.claimed] == [1, 1]
    assert turn.next_ms == 0
    again = await Claims(redis, 60).settle_and_claim(
        "heir:2", Room(1, ahead=5), [Again(one, one.attempts) for one in turn.claimed]
    )
    assert len(again.claimed) == 1


async def test_a_job_that_lapsed_once_is_not_claimed_ahead_either(redis: Redis) -> None:
    """Its heir handed it back: no lease tells of the lapse, but its counts do."""
    claims = Claims(redis, 60)
    await Queue(redis).enqueue(renders(1))
    (lost,) = await claims.claim("lost:1", 1)
    await redis.zadd(ON_TIME, {lost.id: 1})  # its lease ends
    (one,) = await claims.claim("heir:1", 1)
    await claims.settle([Again(one, one.attempts)])
    await Queue(redis).enqueue(renders(6))

    turn = await claims.settle_and_claim("heir:2", Room(1, ahead=5))
    assert (len(turn.claimed), turn.next_ms) == (1, 0)


async def test_the_next_due_job_is_told(redis: Redis) -> None:
    """The end of a lease, or of a backoff; -1 if there is none."""
    claims = Claims(redis, 60)
    assert (await claims.settle_and_claim("w:1", Room(1))).next_ms == -1
    await Queue(redis).enqueue(renders(1))
    (one,) = await claims.claim("w:2", 1)
    leased = (await claims.settle_and_claim("w:3", Room(1))).next_ms
    await claims.settle([Again(one, Attempts(faults=1), 10.0)])
    deferred = (await claims.settle_and_claim("w:4", Room(1))).next_ms

    assert 40_000 < leased <= 60_000
    assert 0 < deferred <= 10_000


async def test_a_lease_of_a_job_that_moved_is_fenced(redis: Redis) -> None:
    """Also by its earlier queue: every word of the lease must be the same."""
    await Queue(redis).enqueue(renders(1))
    claims = Claims(redis, 60)
    (one,) = await claims.claim("w:1", 1)
    await claims.settle([Again(one, Attempts(), queue=LATE)])
    (moved,) = await claims.claim("w:1", 1)

    assert await claims.settle([Done(one)]) == [False]
    assert await claims.settle([Done(moved)]) == [True]
