"""`python -m processors.drill fill|work URL COUNT`: no-op jobs through the real queue and claim.

For `make bench-queue`; it has the command line and output of the other contenders (`bench/peers/drill.py`). It prints
one line of JSON at the end. `work` prints `ready` and begins when it reads a line from standard input. `work --hold`
prints `held` when it runs a job, and never ends that job.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from typing import Any, cast

import msgspec
import uvloop
from arq.typing import WorkerCoroutine
from arq.worker import Function, func

from storage.config import Config as StorageConfig
from storage.opening import redis_client
from storage.queue.jobs import Job, Queue

from .config import Config
from .metrics import Metrics
from .worker import JobWorker

# Jobs in one call: the maximum batch of an upload node.
BATCH = 256
# Ten jobs at the same time: the default of arq and saq.
CONFIG = Config(jobs_max=10)
# Seconds without a finished job after which `work` checks whether the queue is empty.
LULL_S = 0.05


class Report(msgspec.Struct):
    """The line of JSON that is printed at the end; times are seconds of the machine's monotonic clock."""

    began_s: float
    ended_s: float
    cpu_s: float = 0.0
    done: int = 0


async def fill(url: str, jobs: int, report: Report) -> None:
    """Queue no-op jobs in batches."""
    async with redis_client(StorageConfig(redis_url=url)) as redis:
        queue = Queue(redis)
        for start in range(0, jobs, BATCH):
            numbers = range(start, min(start + BATCH, jobs))
            report.done += await queue.enqueue([Job("render_pair", "drill", f"post-{number}") for number in numbers])
    report.ended_s = time.monotonic()


async def work(url: str, workers: int, report: Report, *, hold: bool) -> None:
    """Run workers until the queue is empty: no job is ready, deferred or leased."""

    async def no_op(_: dict[Any, Any], *__: str) -> None:
        if hold:
            print("held", flush=True)  # noqa: T201 - see above
            await asyncio.Event().wait()
        report.done += 1
        report.ended_s = time.monotonic()

    job = func(cast("WorkerCoroutine", no_op), name="render_pair")
    stop = asyncio.Event()
    async with redis_client(StorageConfig(redis_url=url)) as redis, asyncio.TaskGroup() as running:
        for _ in range(workers):
            running.create_task(_worker(url, job, stop), name="drill-worker")
        queue = Queue(redis)
        while not stop.is_set():
            await asyncio.sleep(LULL_S)
            if time.monotonic() - report.ended_s > LULL_S:
                depth = await queue.depth()
                if not depth.ready + depth.leased + depth.deferred:
                    stop.set()


async def _worker(url: str, job: Function, stop: asyncio.Event) -> None:
    async with redis_client(StorageConfig(redis_url=url)) as redis:
        await JobWorker(CONFIG, redis, {"drill": redis}, [job], Metrics()).run_until(stop)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and print its report."""
    parser = argparse.ArgumentParser(prog="python -m processors.drill", description=__doc__, allow_abbrev=False)
    parser.add_argument("command", choices=("fill", "work"))
    parser.add_argument("url", help="the address of a Redis")
    parser.add_argument("count", type=int, help="jobs to queue, or workers to run")
    parser.add_argument("--hold", action="store_true", help="begin a job and never end it")
    given = parser.parse_args(arguments)
    if given.command == "work":
        print("ready", flush=True)  # noqa: T201 - see above
        sys.stdin.readline()
    began_s, cpu_s = time.monotonic(), time.process_time()
    report = Report(began_s, began_s)
    if given.command == "fill":
        uvloop.run(fill(given.url, given.count, report))
    else:
        uvloop.run(work(given.url, given.count, report, hold=given.hold))
    report.cpu_s = time.process_time() - cpu_s
    print(msgspec.json.encode(report).decode(), flush=True)  # noqa: T201 - see above
    return 0


if __name__ == "__main__":
    sys.exit(main())
