"""Stock arq as a queue contender, with a short poll interval.

All other settings are arq's defaults.
"""

import asyncio
import sys
from typing import Any

from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import Worker, func

from . import drill

# By default arq polls twice a second, and the bench would measure that pause.
POLL_S = 0.01


async def fill(url: str, jobs: int) -> None:
    """Queue `jobs` no-op jobs."""
    redis = await create_pool(RedisSettings.from_dsn(url))
    await drill.together(jobs, lambda number: redis.enqueue_job("no_op", f"post-{number}"))
    await redis.aclose()


async def work(url: str, workers: int, tally: drill.Tally) -> None:
    """Run `workers` workers of ten concurrent jobs each, until the queue is empty."""

    async def no_op(_context: dict[Any, Any], *_args: Any, **_kwargs: Any) -> None:  # noqa: ANN401 - arq's type
        await tally.count()

    job: Any = no_op  # arq's annotation asks for a protocol that a plain function does not match
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
