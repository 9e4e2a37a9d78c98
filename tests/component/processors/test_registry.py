"""The border to arq: a claimed body becomes one call, whatever is in it; a stock arq worker runs the same functions."""

from typing import Any

import pytest
from arq.connections import ArqRedis
from arq.jobs import serialize_job
from arq.worker import Worker, func
from redis.asyncio import Redis

from processors.functions import functions
from processors.registry import CLAIMED, Registry, Unrunnable
from processors.retries import HandBack
from processors.runs import Run
from storage.queue import jobs as queue
from storage.queue.jobs import DEAR, QUEUES, Job, Queue, encode
from storage.queue.lease import Attempts, Claimed


def claimed(body: bytes = b"", attempts: Attempts = Attempts()) -> Claimed:  # noqa: B008 - frozen
    """A job that was claimed."""
    body = body or serialize_job("render_pair", ("m", "p"), {}, None, 1, serializer=encode)
    return Claimed("render_pair:p", body, "arq:queue", "w:1", attempts)


def registry(ran: list[Any]) -> Registry:
    """Of one function, which tells of its runs."""

    async def render_pair(context: dict[str, Any], *args: str) -> None:
        ran.append((context["job_id"], context["job_try"], context[CLAIMED], args))

    return Registry([func(render_pair, name="render_pair")])  # type: ignore[arg-type]


async def test_a_claimed_body_becomes_one_call() -> None:
    """With arq's context, and the claim in it."""
    ran: list[Any] = []
    held = claimed(attempts=Attempts(faults=2))
    call = registry(ran).call(held)
    assert (call.name, call.args, ran) == ("render_pair", ("m", "p"), [])
    await call.run(*call.args)

    assert ran == [("render_pair:p", 3, held, ("m", "p"))]


@pytest.mark.parametrize(
    ("body", "name", "args"),
    [
        (b"\xc1", "render_pair", ()),
        (b"\x80", "render_pair", ()),
        (serialize_job("no_such", ("m", "p"), {}, None, 1, serializer=encode), "no_such", ("m", "p")),
    ],
    ids=["no msgpack", "no job", "no function"],
)
async def test_what_cannot_be_run_says_so(body: bytes, name: str, args: tuple[str, ...]) -> None:
    """Once it is awaited; its letter has what could be read."""
    call = registry([]).call(claimed(body))

    assert (call.name, call.args) == (name, args)
    with pytest.raises(Unrunnable):
        await call.run(*call.args)


class Played:
    """Jobs that tell of their runs; the first render is handed back."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    async def render_pair(
        self, _: str, post_id: str, *, full: bool, dear: bool, last: bool, run: Run, reporting: None
    ) -> None:
        """Plays the render of a first try; its report waits for no other."""
        assert (full, dear, last, reporting) == (True, False, False, None)
        self.ran.append(f"render_pair:{post_id}")
        if len(self.ran) == 1:
            raise HandBack("no free slot")

    async def flag_late(self, _: str, post_id: str, *, reporting: None) -> None:
        """Plays the flag."""
        assert reporting is None
        self.ran.append(f"flag_late:{post_id}")

    async def complete_media(self, _: str, post_id: str, *, last: bool) -> None:
        """Plays the completion."""
        assert not last
        self.ran.append(f"complete_media:{post_id}")


@pytest.mark.parametrize("name", QUEUES)
async def test_a_stock_arq_worker_runs_each_of_the_queues(name: str, redis: Redis, redis_url: str) -> None:
    """arq's own Worker with our functions: every job of the queue runs, a hand-back runs again, nothing is left."""
    wanted = [
        job
        for job in (Job("render_pair", "m", "a"), Job("render_pair", "m", "b", late=True), Job("flag_late", "m", "a"))
        if job.queue == name
    ] or [Job("complete_media", "m", "a")]
    await Queue(redis).enqueue(wanted)
    if name == DEAR:  # a worker moves jobs there
        await redis.rename(wanted[0].queue, DEAR)
    jobs = Played()
    async with ArqRedis.from_url(redis_url) as connection:
        worker = Worker(
            functions=functions(jobs, 30.0),  # type: ignore[arg-type]
            queue_name=name,
            redis_pool=connection,
            burst=True,
            poll_delay=0,
            handle_signals=False,
            keep_result=0,
            job_serializer=queue.encode,
            job_deserializer=queue.decode,
        )
        await worker.main()  # not worker.close(): arq 0.28 closes by a name that redis-py 5 deprecates

    tries = 2 if wanted[0].name == "render_pair" else 1
    assert jobs.ran == [wanted[0].id] * tries
    assert (worker.jobs_complete, worker.jobs_failed) == (1, 0)
    assert not [key for key in await redis.keys("arq:*") if not key.endswith(b":health-check")]
