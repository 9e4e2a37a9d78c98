"""`python -m bench.contests.queues`: compares our queue, arq and saq on one Redis, with 1 to 64 workers of no-op jobs.

Each contender is a separate program (`bench/peers/drill.py` defines its protocol); two or more workers are spread over
two processes. All run on uvloop; arq and saq have their default settings except for pauses (see `arq_jobs.py` and
`saq_jobs.py`). Measured are throughput, CPU of workers and Redis, and Redis' own count of commands, including those in
scripts. Then it measures what a drained pair and an idle stack cost Redis (`drain.py`). Prints a table and writes
bench/results/queue.json.
"""

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from redis import Redis

from .. import command
from ..peers import backing, meter, started
from ..rows import OURS, Row, against, limited, medians
from . import drain

CONTENDERS: Final = {OURS: "processors.drill", "arq": "bench.peers.arq_jobs", "saq": "bench.peers.saq_jobs"}
WORKERS: Final = (1, 4, 16, 64)
PROCESSES: Final = 2
WALL_UNIT: Final = "µs per job"
CPU_UNIT: Final = "µs CPU per job"
REDIS_UNIT: Final = "µs CPU of Redis per job"
COMMANDS_UNIT: Final = "Redis commands per job"
SPEEDUP_AIM: Final = 1 / 5
# The highest ratio of a job's cost with more workers to its cost with one; smaller ratios are noise on two cores.
SHRINK_MAX: Final = 1.1
COMMANDS_MAX: Final = 6.0
ENQUEUE_US_MAX: Final = 33.3  # 30,000 jobs a second
ENQUEUE_CPU_US_MAX: Final = 30.0
RECOVERY_S_MAX: Final = 10.0
TIMEOUT_S: Final = 300


Readings = defaultdict[str, dict[str, list[float]]]


class Effort(msgspec.Struct, frozen=True):
    """Rounds, and jobs of each round by contender: a slow one gets fewer, so that each takes a few seconds."""

    rounds: int
    jobs: dict[str, int]


# All on uvloop; arq and saq with their default settings except for pauses (see `arq_jobs.py` and `saq_jobs.py`).
FULL: Final = Effort(3, {OURS: 20_000, "arq": 3_000, "saq": 6_000})
QUICK: Final = Effort(1, {OURS: 6_000, "arq": 600, "saq": 1_500})


class Bench:
    """Runs contenders on one Redis and measures both."""

    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self._pid = pid
        self._redis: Any = Redis.from_url(url)  # redis-py types its answers for sync and async clients at once

    def fill(self, name: str, jobs: int) -> dict[str, float]:
        """Queue jobs into an empty Redis from one process; returns time and CPU for each job, by unit."""
        self._redis.flushall()
        return _cost([_report(self._started("fill", name, jobs))])

    def work(self, name: str, workers: int) -> dict[str, float]:
        """Run all queued jobs; returns time, the workers' CPU, and Redis' CPU and commands for each job, by unit."""
        share = [workers] if workers == 1 else [workers // PROCESSES] * PROCESSES
        programs = [self._started("work", name, count) for count in share]
        for program in programs:
            _expect(program, "ready")
        # Redis' own count of commands includes those in scripts.
        self._redis.config_resetstat()
        before_ms = meter.cpu_ms(self._pid)
        for program in programs:
            _tell(program)
        reports = [_report(program) for program in programs]
        redis_ms = meter.cpu_ms(self._pid) - before_ms
        done = sum(report["done"] for report in reports)
        calls = sum(stat["calls"] for stat in self._redis.info("commandstats").values())
        return {**_cost(reports), REDIS_UNIT: redis_ms * 1e3 / done, COMMANDS_UNIT: calls / done}

    def recovery_s(self) -> float:
        """Seconds from kill -9 of the worker that holds our job until another worker has finished the job."""
        self.fill(OURS, 1)
        holder, other = self._started("work", OURS, 1, "--hold"), self._started("work", OURS, 1)
        for program in (holder, other):
            _expect(program, "ready")
        _tell(holder)
        _expect(holder, "held")
        _tell(other)
        holder.kill()
        killed_s = time.monotonic()
        holder.communicate()
        return _report(other)["ended_s"] - killed_s

    def arq_recovery_s(self) -> float:
        """Seconds until arq's lock on a killed worker's job expires: no other worker can take the job before."""
        self.fill("arq", 1)
        holder = self._started("work", "arq", 1, "--hold")
        _expect(holder, "ready")
        _tell(holder)
        _expect(holder, "held")
        holder.kill()
        holder.communicate()
        (lock,) = self._redis.keys("arq:in-progress:*")
        return float(self._redis.pttl(lock)) / 1000

    def _started(self, command: str, name: str, count: int, *more: str) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", CONTENDERS[name], command, self.url, str(count), *more]
        return subprocess.Popen(words, cwd=started.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _tell(program: subprocess.Popen[str]) -> None:
    assert program.stdin is not None  # noqa: S101 - it was opened
    program.stdin.write("\n")
    program.stdin.flush()


def _expect(program: subprocess.Popen[str], word: str) -> None:
    assert program.stdout is not None  # noqa: S101 - it was opened
    if program.stdout.readline().strip() != word:
        raise started.StartError(f"{program.args!r} ended")


def _report(program: subprocess.Popen[str]) -> dict[str, float]:
    said, _ = program.communicate(timeout=TIMEOUT_S)
    if program.returncode:
        raise started.StartError(f"{program.args!r} ended with {program.returncode}")
    report: dict[str, float] = json.loads(said.splitlines()[-1])
    return report


def _cost(reports: Sequence[Mapping[str, float]]) -> dict[str, float]:
    done = sum(report["done"] for report in reports)
    seconds = max(report["ended_s"] for report in reports) - min(report["began_s"] for report in reports)
    return {WALL_UNIT: seconds * 1e6 / done, CPU_UNIT: sum(report["cpu_s"] for report in reports) * 1e6 / done}


@contextlib.contextmanager
def running_redis() -> Iterator[Bench]:
    """Start a separate Redis without persistence for the bench."""
    with tempfile.TemporaryDirectory() as folder, backing.redis(Path(folder)) as (url, pid):
        yield Bench(url, pid)


def measure(bench: Bench, effort: Effort) -> Iterator[Row]:
    """Measure every row; yields each as soon as it is known."""
    filled: Readings = defaultdict(lambda: {name: [] for name in CONTENDERS})
    alone_us = 0.0
    for workers in WORKERS:
        worked: Readings = defaultdict(lambda: {name: [] for name in CONTENDERS})
        for _ in range(effort.rounds):
            # In turn within a round, so that other load on the machine affects all alike.
            for name in CONTENDERS:
                for unit, value in bench.fill(name, effort.jobs[name]).items():
                    filled[unit][name].append(value)
                for unit, value in bench.work(name, workers).items():
                    worked[unit][name].append(value)
        case = f"{workers} worker{'s' * (workers > 1)}"
        for unit, found in worked.items():
            aim = SPEEDUP_AIM if (workers, unit) == (16, WALL_UNIT) else None
            yield against(f"{case} (ratio to arq)", unit, found, rival="arq", at_most=aim)
        yield limited(case, COMMANDS_UNIT, medians(worked[COMMANDS_UNIT]), limit=COMMANDS_MAX)
        ours_us = statistics.median(worked[WALL_UNIT][OURS])
        alone_us = alone_us or ours_us
        yield limited(f"{case} against one", WALL_UNIT, ours_us, limit=round(alone_us * SHRINK_MAX, 1))
    for unit, limit in ((WALL_UNIT, ENQUEUE_US_MAX), (CPU_UNIT, ENQUEUE_CPU_US_MAX)):
        yield limited("enqueue by one producer", unit, medians(filled[unit]), limit=limit)
    waits = {OURS: bench.recovery_s(), "arq": bench.arq_recovery_s()}
    yield limited("kill -9 of a worker", "s until its job is run", waits, limit=RECOVERY_S_MAX)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; return the exit code."""
    given = command.given("contests.queues", __doc__, "queue.json", arguments)

    def told(tell: command.Tell) -> None:
        with running_redis() as bench:
            for row in measure(bench, QUICK if given.quick else FULL):
                tell(row)
            for row in drain.rows(bench.url, quick=given.quick):
                tell(row)

    return command.run(given.out, told)


if __name__ == "__main__":
    sys.exit(main())
