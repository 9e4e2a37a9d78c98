"""Stock arq as a queue contender. By default it looks twice a second, and the bench would measure its sleep.

So here it looks every 10 ms and keeps no results, on uvloop as all contenders. Everything else is as it comes.
"""

import asyncio
import sys
from typing import Any

from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import Worker, func

from . import drill

POLL_S = 0.01


async def fill(url: str, jobs: int) -> None:
    """Queue them."""
    redis = await create_pool(RedisSettings.from_dsn(url))
    await drill.together(jobs, lambda number: redis.enqueue_job("no_op", f"post-{number}"))
    await redis.aclose()


async def work(url: str, workers: int, tally: drill.Tally) -> None:
    """So many workers of ten jobs each, until the queue is empty."""

    async def no_op(_context: dict[Any, Any], *_args: Any, **_kwargs: Any) -> None:  # noqa: ANN401 - arq's type
        await tally.count()

    job: Any = no_op  # arq wants a type that no function has
    made = [
        Worker(
            [func(job, name="no_op", keep_result=0)],
            redis_settings=RedisSettings.from_dsn(url),
            burst=True,
            poll_delay=POLL_S,
            handle_signals=False,
            log_results=False,
        )
        for _ in range(workers)
    ]
    await asyncio.gather(*(worker.main() for worker in made))
    await asyncio.gather(*(worker.close() for worker in made))


if __name__ == "__main__":
    sys.exit(drill.main("bench.peers.arq_jobs", fill, work))
