"""saq, the fastest asyncio queue of the same kind, as a queue contender."""

import asyncio
import logging
import sys
from typing import Any

from saq import Queue, Worker

from . import drill

# Its timers would disturb a bench: set so long that they never fire.
NEVER_S = 3600


def opened(url: str) -> Any:  # noqa: ANN401 - of several classes
    """The queue, with as many concurrent Redis operations as concurrent jobs."""
    return Queue.from_url(url, max_concurrent_ops=drill.TOGETHER)


async def fill(url: str, jobs: int) -> None:
    """Queue `jobs` no-op jobs."""
    queue = opened(url)
    await drill.together(jobs, lambda number: queue.enqueue("no_op", post_id=f"post-{number}"))
    await queue.disconnect()


async def work(url: str, workers: int, tally: drill.Tally) -> None:
    """Run `workers` workers of ten concurrent jobs each, until the queue is empty."""

    async def no_op(_context: Any, *, post_id: str) -> None:  # noqa: ANN401, ARG001 - saq passes by name
        await tally.count()

    async def one() -> None:
        queue = opened(url)
        timers: Any = dict.fromkeys(("schedule", "worker_info", "sweep", "abort"), NEVER_S)
        worker: Any = Worker(queue, [("no_op", no_op)], burst=True, dequeue_timeout=0.1, timers=timers)
        worker.SIGNALS = []
        # A worker sweeps as soon as it starts, and so would queue a job again that another is just claiming. Nothing is
        # claimed yet; this sweep keeps all others away.
        await queue.sweep(NEVER_S)
        logging.getLogger("saq").setLevel(logging.ERROR)  # saq logs a warning for each worker that ends
        await worker.start()
        await queue.disconnect()

    await asyncio.gather(*(one() for _ in range(workers)))


if __name__ == "__main__":
    sys.exit(drill.main("bench.peers.saq_jobs", fill, work))
