"""Tries, backoff and dead letters: nothing is dropped, whatever a job raises."""

import asyncio
import random
from typing import Any

import pytest
from arq.worker import Retry
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from processors.metrics import Metrics
from processors.retries import DeadLetter, DeadLetters, NeverEnds, Overdue, Patience, Retrying, backoff_s, is_last
from storage.blobs import StoreFull, StoreUnavailable

PATIENCE = Patience(floor_s=0.2, cap_s=30, faults_max=5, outages_max=120, deadline_s=30)


def failing(error: Exception) -> Any:
    """A job that raises."""

    async def job(*_args: str) -> None:
        raise error

    return job


def retrying(redis: Redis, patience: Patience = PATIENCE) -> Retrying:
    """What a worker wraps its jobs in."""
    return Retrying(DeadLetters(redis), Metrics(), patience, random.Random(1))


@given(tries=st.integers(1, 10_000), seed=st.integers())
def test_backoff_stays_between_floor_and_cap(tries: int, seed: int) -> None:
    """Neither a first try nor the thousandth waits less than the floor or more than the cap."""
    assert PATIENCE.floor_s <= backoff_s(tries, PATIENCE, random.Random(seed)) <= PATIENCE.cap_s


def test_backoff_grows_and_is_spread() -> None:
    """The mean doubles until the cap, and two jobs that failed together do not come back together."""
    rng = random.Random(3)
    means = [sum(backoff_s(tries, PATIENCE, rng) for _ in range(2000)) / 2000 for tries in (2, 4, 6, 20)]

    assert means == sorted(means)
    assert means[2] > 8 * means[0]
    assert 14 < means[3] < 16
    assert len({backoff_s(9, PATIENCE, rng) for _ in range(50)}) == 50


@pytest.mark.parametrize(
    ("error", "tries_max"),
    [
        (StoreUnavailable("503"), 120),
        (StoreFull("full"), 120),
        (RedisConnectionError("gone"), 120),
        (TimeoutError(), 120),
        (OSError("connection reset"), 120),
        (Overdue("slow"), 120),
        (ValueError("a bug"), 5),
        (MemoryError(), 5),
    ],
)
def test_outages_get_more_patience_than_faults(error: Exception, tries_max: int) -> None:
    """What heals by itself is tried for half an hour, what does not is given up after five tries."""
    assert not is_last(error, tries_max - 1, PATIENCE)
    assert is_last(error, tries_max, PATIENCE)


async def test_success_is_silent(redis: Redis) -> None:
    """A job that worked is done and counted."""
    metrics = Metrics()

    async def job(*_args: str) -> None:
        """Works."""

    wrapped = Retrying(DeadLetters(redis), metrics, PATIENCE, random.Random(1)).wrap("render_pair", job)
    await wrapped({"job_id": "render_pair:x", "job_try": 1}, "moment", "x")

    assert metrics.jobs_done == 1
    assert await DeadLetters(redis).count() == 0


async def test_a_failure_becomes_arqs_retry_with_a_delay(redis: Redis) -> None:
    """Anything unexpected is tried again, later."""
    wrapped = retrying(redis).wrap("render_pair", failing(ValueError("a bug")))

    with pytest.raises(Retry) as raised:
        await wrapped({"job_id": "render_pair:x", "job_try": 4}, "moment", "x")

    assert raised.value.defer_score is not None
    assert 200 <= raised.value.defer_score <= 30_000


async def test_after_the_last_try_the_job_is_kept(redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    """The dead letter has what ops need, arq sees success, and the log says so once."""
    wrapped = retrying(redis).wrap("render_pair", failing(ValueError("a bug")))

    await wrapped({"job_id": "render_pair:x", "job_try": 5}, "moment", "x")

    (letter,) = await DeadLetters(redis).all()
    assert (letter.id, letter.name, letter.args) == ("render_pair:x", "render_pair", ("moment", "x"))
    assert (letter.error, letter.tries) == ("ValueError('a bug')", 5)
    assert [record.levelname for record in caplog.records if "render_pair:x" in record.message] == ["ERROR"]


async def test_a_job_that_never_ends_is_kept_too(redis: Redis) -> None:
    """A job that was started too often, its workers dying with it, is not started again."""
    wrapped = retrying(redis).wrap("render_pair", failing(AssertionError("was started")))

    await wrapped({"job_id": "render_pair:x", "job_try": PATIENCE.outages_max + 1}, "moment", "x")

    (letter,) = await DeadLetters(redis).all()
    assert NeverEnds.__name__ in letter.error


async def test_a_letter_that_cannot_be_kept_is_not_lost(absent_redis: Redis) -> None:
    """With Redis away the job is tried once more instead."""
    wrapped = retrying(absent_redis).wrap("render_pair", failing(ValueError("a bug")))

    with pytest.raises(Retry):
        await wrapped({"job_id": "render_pair:x", "job_try": 5}, "moment", "x")


async def test_a_job_that_waits_too_long_is_ended(redis: Redis) -> None:
    """Our own deadline ends a try, as an outage: a silent store must not make dead letters."""

    async def stuck(*_args: str) -> None:
        await asyncio.Event().wait()

    patience = Patience(deadline_s=0.01, faults_max=1, outages_max=2)
    wrapped = retrying(redis, patience).wrap("render_pair", stuck)
    with pytest.raises(Retry):
        await wrapped({"job_id": "render_pair:x", "job_try": 1}, "moment", "x")
    await wrapped({"job_id": "render_pair:x", "job_try": 2}, "moment", "x")

    (letter,) = await DeadLetters(redis).all()
    assert letter.error.startswith("Overdue")


async def test_dead_letters_are_found_by_job(redis: Redis) -> None:
    """One job has one letter, and the sweeper can ask which are dead."""
    dead = DeadLetters(redis)
    letter = DeadLetter(id="a", name="n", args=("m", "p"), error="E", tries=5, at="2026-01-01T00:00:00.000Z")
    await dead.keep(letter)
    await dead.keep(letter)

    assert await dead.count() == 1
    assert await dead.among(["a", "b"]) == {"a"}
    assert await dead.among([]) == set()
