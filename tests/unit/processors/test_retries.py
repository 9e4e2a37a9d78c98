"""Tries, backoff and what is judged of an end: nothing is dropped, whatever a job raises."""

import asyncio
import random
from typing import Any

import msgspec
import pytest
from arq.worker import Retry
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from processors.letters import DeadLetter
from processors.metrics import Metrics
from processors.registry import Unrunnable
from processors.retries import HandBack, Overdue, Patience, Poison, Retrying, Worker, after, backoff_s
from storage.blobs import StoreFull, StoreUnavailable
from storage.queue.lease import Again, Attempts, Claimed, Done, Settlement

PATIENCE = Patience(floor_s=0.2, cap_s=30, faults_max=5, outages_max=120, deadline_s=30)
NONE = Attempts()


async def judged(
    error: Exception | None, attempts: Attempts = NONE, *, deaths: int = 0, patience: Patience = PATIENCE
) -> Settlement:
    """How a run is judged that raises this, after these."""

    async def job(*_args: str) -> None:
        if error:
            raise error

    return await Retrying(Metrics(), patience, random.Random(1)).run(
        held(attempts, deaths), "render_pair", job, ("m", "x")
    )


def held(attempts: Attempts = NONE, deaths: int = 0) -> Claimed:
    """A claimed job."""
    return Claimed("render_pair:x", b"", "arq:queue", "worker:1", attempts, 0.0, deaths)


def letter_in(settlement: Settlement) -> DeadLetter:
    """The letter of a job that was given up."""
    assert isinstance(settlement, Done)
    return msgspec.json.decode(settlement.letter, type=DeadLetter)


@given(tries=st.integers(1, 10_000), seed=st.integers())
def test_backoff_stays_between_floor_and_cap(tries: int, seed: int) -> None:
    """Neither a first try nor the thousandth waits less than the floor or more than the cap."""
    assert PATIENCE.floor_s <= backoff_s(tries, PATIENCE, random.Random(seed)) <= PATIENCE.cap_s


async def test_a_hand_back_counts_only_where_it_is_a_fault() -> None:
    """It goes into the queue that was named; the fifth fault is the last as of any job."""
    earlier = Attempts(faults=1, outages=2)

    assert await judged(HandBack("no slot"), earlier) == Again(held(earlier), earlier, PATIENCE.floor_s)
    assert await judged(HandBack("dear", queue="q"), earlier) == Again(held(earlier), earlier, 0.0, "q")
    overdue = await judged(HandBack("overdue", queue="q", fault=True), earlier)
    assert isinstance(overdue, Again)
    assert (overdue.queue, overdue.attempts) == ("q", Attempts(faults=2, outages=2))
    assert letter_in(await judged(HandBack("again", fault=True), Attempts(faults=4))).reason == "fault"


def test_backoff_grows_and_is_spread() -> None:
    """The mean doubles until the cap, and two jobs that failed together do not come back together."""
    rng = random.Random(3)
    means = [sum(backoff_s(tries, PATIENCE, rng) for _ in range(2000)) / 2000 for tries in (2, 4, 6, 20)]

    assert means == sorted(means)
    assert means[2] > 8 * means[0]
    assert 14 < means[3] < 16
    assert len({backoff_s(9, PATIENCE, rng) for _ in range(50)}) == 50


@pytest.mark.parametrize(
    ("error", "kind", "most"),
    [
        (StoreUnavailable("503"), "outages", 120),
        (StoreFull("full"), "outages", 120),
        (RedisConnectionError("gone"), "outages", 120),
        (TimeoutError(), "outages", 120),
        (OSError("connection reset"), "outages", 120),
        (Overdue("slow"), "outages", 120),
        (ValueError("a bug"), "faults", 5),
        (MemoryError(), "outages", 120),
    ],
)
def test_outages_get_more_patience_than_faults(error: Exception, kind: str, most: int) -> None:
    """What heals by itself is tried for half an hour, what does not is given up after five tries; each counts apart."""
    others = {"faults": 4, "outages": 119, "lapses": 9}
    before, at = Attempts(**{**others, kind: most - 2}), Attempts(**{**others, kind: most - 1})

    assert after(error, before, PATIENCE, Worker()) == (Attempts(**{**others, kind: most - 1}), False)
    assert after(error, at, PATIENCE, Worker()) == (Attempts(**{**others, kind: most}), True)


async def test_success_is_silent() -> None:
    """A job that worked is done and counted."""
    metrics = Metrics()
    ran: list[tuple[str, ...]] = []

    async def job(*args: str) -> None:
        ran.append(args)

    retrying = Retrying(metrics, PATIENCE, random.Random(1))
    assert await retrying.run(held(), "render_pair", job, ("m", "x")) == Done(held())
    assert (metrics.jobs_done, ran) == (1, [("m", "x")])


async def test_arqs_retry_goes_back_for_as_long_as_it_says() -> None:
    """It counts as nothing, as a hand-back."""
    earlier = Attempts(faults=1)

    assert await judged(Retry(defer=1.5), earlier) == Again(held(earlier), earlier, 1.5)
    assert await judged(Retry(), earlier) == Again(held(earlier), earlier, 0.0)


async def test_what_cannot_be_run_is_kept_at_once() -> None:
    """Another try would read the same bytes."""
    letter = letter_in(await judged(Unrunnable("no such job")))

    assert (letter.reason, letter.tries, letter.args) == ("unreadable", 1, ("m", "x"))


async def test_a_failure_is_tried_again_later() -> None:
    """Anything unexpected has another run, after a wait within the bounds."""
    settlement = await judged(ValueError("a bug"), Attempts(faults=3, outages=7))

    assert isinstance(settlement, Again)
    assert settlement.attempts == Attempts(faults=4, outages=7)
    assert 0.2 <= settlement.defer_s <= 30


async def test_after_the_last_try_the_job_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    """The dead letter has what ops need, the stack included, and the log says so once."""
    letter = letter_in(await judged(ValueError("a bug"), Attempts(faults=4, lapses=1)))

    assert (letter.id, letter.name, letter.args) == ("render_pair:x", "render_pair", ("m", "x"))
    assert (letter.error, letter.tries, letter.reason) == ("ValueError('a bug')", 6, "fault")
    assert "raise error" in letter.traceback
    assert [record.levelname for record in caplog.records if "render_pair:x" in record.message] == ["ERROR"]


async def test_of_a_long_story_the_end_is_kept() -> None:
    """Of a stack the last 4,000 characters, of an error the first 1,000."""
    letter = letter_in(await judged(ValueError("x" * 5000 + " the end"), Attempts(faults=4)))

    assert len(letter.traceback) == 4000
    assert letter.traceback.endswith(" the end\n")
    assert len(letter.error) == 1000


async def test_a_fault_after_many_outages_waits_as_a_first_fault_does() -> None:
    """Each kind has its own backoff."""
    settlement = await judged(ValueError("a bug"), Attempts(outages=100, lapses=1))

    assert isinstance(settlement, Again)
    assert settlement.defer_s <= 2 * PATIENCE.floor_s


async def test_a_timeout_of_the_jobs_own_keeps_its_name() -> None:
    """It is an outage too, but not of our deadline."""
    letter = letter_in(await judged(TimeoutError("of a socket"), Attempts(outages=119)))

    assert (letter.error, letter.reason) == ("TimeoutError('of a socket')", "outage")


async def test_ends_are_counted() -> None:
    """How many runs a job needed, and how many jobs were given up."""
    metrics = Metrics()

    async def job(*args: str) -> None:
        if args == ("bad",):
            raise ValueError("a bug")

    retrying = Retrying(metrics, PATIENCE, random.Random(1))
    await retrying.run(held(Attempts(faults=2)), "render_pair", job, ("good",))
    await retrying.run(held(Attempts(faults=4)), "render_pair", job, ("bad",))

    found = metrics.registry.get_sample_value
    assert (found("snapsurge_worker_tries_count"), found("snapsurge_worker_tries_sum")) == (1, 3)
    assert found("snapsurge_worker_dead_total", {"job": "render_pair"}) == 1


async def test_poison_is_not_run() -> None:
    """A job whose workers died with it is kept for people to look at."""
    letter = letter_in(await judged(AssertionError("was run"), Attempts(lapses=2), deaths=2))

    assert (letter.reason, letter.tries) == ("poison", 2)
    assert Poison.__name__ in letter.error


async def test_a_lapse_long_ago_is_no_poison() -> None:
    """Only a run that has just lapsed can condemn a job."""
    assert isinstance(await judged(None, Attempts(lapses=5), deaths=0), Done)


async def test_a_job_that_waits_too_long_is_ended() -> None:
    """Our own deadline ends a run, as an outage: a silent store must not make dead letters soon."""

    async def stuck(*_args: str) -> None:
        await asyncio.Event().wait()

    async def run(attempts: Attempts) -> Any:
        retrying = Retrying(Metrics(), Patience(deadline_s=0.01, faults_max=1, outages_max=2), random.Random(1))
        return await retrying.run(held(attempts), "render_pair", stuck, ("m", "x"))

    assert (await run(Attempts())).attempts == Attempts(outages=1)
    letter = letter_in(await run(Attempts(outages=1)))
    assert letter.error.startswith("Overdue")
    assert letter.reason == "outage"


async def test_an_outage_is_logged_when_it_begins_and_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    """Not for each of the jobs that meet it, and with the Redis; a fault is, and neither holds the refused command."""
    errors: list[Exception | None] = [
        RedisConnectionError("gone"),
        ResponseError("OOM full"),
        None,
        None,
        ValueError("x"),
    ]

    async def job(*_args: str) -> None:
        error = errors.pop(0)
        if error:
            raise error

    retrying = Retrying(Metrics(), PATIENCE, random.Random(1))
    while errors:
        await retrying.run(held(), "render_pair", job, ("m", "x"))
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 3
    assert said[0] == "Redis is unavailable, jobs are retried: render_pair:x: ConnectionError: gone"
    assert said[1] == "Redis is available again (job render_pair:x succeeded)"
    assert said[2].startswith("render_pair:x failed on run 1")


async def test_a_job_of_another_redis_does_not_end_an_outage(caplog: pytest.LogCaptureFixture) -> None:
    """Nor does it say anything of the store that a job without the store would."""
    errors: dict[str, Exception | None] = {"one": RedisConnectionError("gone"), "two": StoreUnavailable("gone")}

    async def job(_moment: str, post: str) -> None:
        error = errors.get(post)
        if error:
            raise error

    retrying = Retrying(Metrics(), PATIENCE, random.Random(1), lambda args: f"Redis {args[-1]}")
    for post in ("one", "two", "three", "one"):
        await retrying.run(held(), "render_pair", job, ("m", post))
    errors.clear()
    await retrying.run(held(), "render_pair", job, ("m", "one"))

    said = [record.getMessage().partition(" is ")[::2] for record in caplog.records]
    assert [(what, text[:9]) for what, text in said] == [
        ("Redis one", "unavailab"),
        ("the store", "unavailab"),
        ("the store", "available"),
        ("Redis one", "available"),
    ]
