"""What counts as a try of a job where the worker may be at fault."""

import random
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from processors.metrics import Metrics
from processors.retries import HandBack, Overdue, Patience, Retrying, Worker, after
from storage.blobs import StoreUnavailable
from storage.queue.jobs import FLAGS
from storage.queue.lease import Again, Attempts, Claimed
from storage.zips import Damaged

PATIENCE = Patience(floor_s=0.2, cap_s=30, faults_max=5, outages_max=120, deadline_s=30)
NONE = Attempts()


def held() -> Claimed:
    """A claimed job."""
    return Claimed("render_pair:x", b"", "arq:queue", "worker:1")


async def test_a_sick_worker_spends_no_tries() -> None:
    """Two posts fail one after the other: what fails from then on is an outage, until a job succeeds."""
    now = [0.0]
    retrying = Retrying(Metrics(), PATIENCE, random.Random(1), worker="a", clock=lambda: now[0])

    async def fails(*_args: str) -> None:
        raise ValueError("the library is broken")

    async def works(*_args: str) -> None:
        pass

    async def run(post: str, job: Any) -> Attempts:
        settlement = await retrying.run(held(), "render_pair", job, ("m", post))
        return settlement.attempts if isinstance(settlement, Again) else NONE

    counted = [await run(post, fails) for post in ("x", "x", "y", "z")]
    assert [(one.faults, one.outages) for one in counted] == [(1, 0), (1, 0), (0, 1), (0, 1)]
    assert {one.failed_by for one in counted} == {"a"}
    assert retrying.renders.sick
    await run("z", works)
    assert not retrying.renders.sick
    assert (await run("x", fails)).faults == 1


async def test_flags_tell_nothing_of_renders() -> None:
    """A worker whose renders fail may set flags well, and goes on setting them."""
    retrying = Retrying(Metrics(), PATIENCE, random.Random(1))
    flag = Claimed("flag_late:x", b"", FLAGS, "worker:1")

    async def fails(*_args: str) -> None:
        raise MemoryError

    async def works(*_args: str) -> None:
        pass

    for post in ("x", "y"):
        await retrying.run(held(), "render_pair", fails, ("m", post))
        await retrying.run(flag, "flag_late", works, ("m", post))
    assert (retrying.renders.sick, retrying.flags.sick) == (True, False)


@pytest.mark.parametrize(
    "error",
    [StoreUnavailable("503"), RedisConnectionError("x"), Overdue("slow"), Damaged("x"), HandBack("x", fault=True)],
)
async def test_what_is_not_the_workers_makes_it_not_sick(error: Exception) -> None:
    """The store, Redis, the photo, the user."""
    retrying = Retrying(Metrics(), PATIENCE, random.Random(1))

    async def fails(*_args: str) -> None:
        raise error

    for post in ("x", "y", "z"):
        await retrying.run(held(), "render_pair", fails, ("m", post))
    assert not retrying.renders.sick


def test_a_fault_counts_at_another_worker_or_where_there_is_none() -> None:
    """So one worker spends one try of a job at most, and a job that fails at all of them ends after five."""
    bug, a, b = ValueError("x"), Worker("a", alone=False), Worker("b", alone=False)
    attempts, counted = NONE, []
    for worker in (a, a, b, b, a, b, b, a):
        attempts, last = after(bug, attempts, PATIENCE, worker)
        counted.append((attempts.faults, last))
    assert [one for one, _ in counted] == [1, 1, 2, 2, 3, 4, 4, 5]
    assert [last for _, last in counted] == [False] * 7 + [True]
    alone = Worker("a")
    assert after(bug, Attempts(faults=1, failed_by="a"), PATIENCE, alone)[0].faults == 2
    overdue = HandBack("used up its budget", fault=True)
    assert after(overdue, Attempts(faults=1, failed_by="a"), PATIENCE, a)[0].faults == 2


def test_no_job_is_tried_for_ever() -> None:
    """At a worker that is sick for good, too, the outages of a job end."""
    sick, last, attempts, runs = Worker("a", sick=True), False, NONE, 0
    while not last:
        attempts, last = after(ValueError("x"), attempts, PATIENCE, sick)
        runs += 1
    assert (runs, attempts.faults) == (PATIENCE.outages_max, 0)
