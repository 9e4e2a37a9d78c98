"""A queue contender as a program: `fill URL JOBS` queues no-op jobs, `work URL WORKERS` runs them until none is left.

Each command prints one line of JSON. `work` prints `ready` first and begins when it reads a line on its standard input,
so that several processes start together and start-up time is not counted. `work --hold` prints `held` when it has
claimed a job, and never finishes that job. All contenders run on uvloop, as our workers do, so that the bench compares
queues and not event loops. Times are the machine's monotonic clock, in seconds.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import uvloop

Fill = Callable[[str, int], Coroutine[Any, Any, None]]
Work = Callable[[str, int, "Tally"], Coroutine[Any, Any, None]]

TOGETHER = 32


class Tally:
    """The number of jobs done and the time of the last one; with `--hold`, a job never ends."""

    def __init__(self, *, hold: bool = False) -> None:
        self.done = 0
        self.last_s = time.monotonic()
        self._hold = hold

    async def count(self) -> None:
        """Count one job; each no-op job calls this."""
        if self._hold:
            print("held", flush=True)
            await asyncio.Event().wait()
        self.done += 1
        self.last_s = time.monotonic()


async def together(jobs: int, queued: Callable[[int], Coroutine[Any, Any, object]]) -> None:
    """Queue `jobs` jobs with a bounded number of concurrent calls, as an upload tier does."""
    numbers = iter(range(jobs))

    async def some() -> None:
        for number in numbers:
            await queued(number)

    await asyncio.gather(*(some() for _ in range(TOGETHER)))


def main(program: str, fill: Fill, work: Work, arguments: Sequence[str] | None = None) -> int:
    """Run `fill` or `work` of this contender and print its line of JSON."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=__doc__, allow_abbrev=False)
    parser.add_argument("command", choices=("fill", "work"))
    parser.add_argument("url", help="redis://…")
    parser.add_argument("count", type=int, help="jobs to queue, or workers to run")
    parser.add_argument("--hold", action="store_true", help="begin a job and never end it")
    given = parser.parse_args(arguments)
    if given.command == "work":
        print("ready", flush=True)
        # So that several processes start together and start-up time is not counted.
        sys.stdin.readline()
    cpu_s, began_s = time.process_time(), time.monotonic()
    if given.command == "fill":
        # All contenders run on uvloop, as our workers do: the bench compares queues and not event loops.
        uvloop.run(fill(given.url, given.count))
        ended_s, done = time.monotonic(), given.count
    else:
        tally = Tally(hold=given.hold)
        uvloop.run(work(given.url, given.count, tally))
        ended_s, done = tally.last_s, tally.done
    report = {"began_s": began_s, "ended_s": ended_s, "cpu_s": time.process_time() - cpu_s, "done": done}
    print(json.dumps(report), flush=True)
    return 0
