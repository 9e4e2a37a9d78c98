"""A queue contender as a program: `fill URL JOBS` queues no-op jobs, `work URL WORKERS` runs them until none is left.

Each prints one line of JSON. `work` says `ready` first and begins when a line comes on its standard input, so that
several processes start together and no start-up is counted; `work --hold` says `held` when it has a job, and keeps it.
All run on uvloop, as ours does, so that queues are compared and not loops. Times are the machine's monotonic clock, in
seconds.
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
    """Jobs done, and when the last of them was; a job that is to be held never ends."""

    def __init__(self, *, hold: bool = False) -> None:
        self.done = 0
        self.last_s = time.monotonic()
        self._hold = hold

    async def count(self) -> None:
        """What each job does."""
        if self._hold:
            print("held", flush=True)
            await asyncio.Event().wait()
        self.done += 1
        self.last_s = time.monotonic()


async def together(jobs: int, queued: Callable[[int], Coroutine[Any, Any, object]]) -> None:
    """Queue so many jobs, some at a time, as an upload tier would."""
    numbers = iter(range(jobs))

    async def some() -> None:
        for number in numbers:
            await queued(number)

    await asyncio.gather(*(some() for _ in range(TOGETHER)))


def main(program: str, fill: Fill, work: Work, arguments: Sequence[str] | None = None) -> int:
    """Run the contender's command."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=__doc__)
    parser.add_argument("command", choices=("fill", "work"))
    parser.add_argument("url", help="redis://…")
    parser.add_argument("count", type=int, help="jobs to queue, or workers to run")
    parser.add_argument("--hold", action="store_true", help="begin a job and never end it")
    given = parser.parse_args(arguments)
    if given.command == "work":
        print("ready", flush=True)
        sys.stdin.readline()
    cpu_s, began_s = time.process_time(), time.monotonic()
    if given.command == "fill":
        uvloop.run(fill(given.url, given.count))
        ended_s, done = time.monotonic(), given.count
    else:
        tally = Tally(hold=given.hold)
        uvloop.run(work(given.url, given.count, tally))
        ended_s, done = tally.last_s, tally.done
    report = {"began_s": began_s, "ended_s": ended_s, "cpu_s": time.process_time() - cpu_s, "done": done}
    print(json.dumps(report), flush=True)
    return 0
