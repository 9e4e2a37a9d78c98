"""What our queue, index and counts cost Redis: a pair of a backlog that is drained, and a stack that has nothing to do.

This module makes the rows; `queues.py` is the command.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from redis import Redis

from ..peers import started
from ..peers.deployed import deployed, read
from ..rows import Row, limited

WORKERS: Final = (1, 32)
PROCESSES: Final = 2
PAIRS_PER_WORKER: Final = 60
PAIRS_MIN: Final = 200
CPU_UNIT: Final = "ms CPU of Redis per pair"
COMMANDS_UNIT: Final = "Redis commands per pair"
CPU_MS_MAX: Final = {1: 0.15, 32: 0.08}
COMMANDS_MAX: Final = 20.0
IDLE_UNIT: Final = "% of a core in Redis"
IDLE_PERCENT_MAX: Final = 0.4
SETTLE_S: Final = 3.0
TIMEOUT_S: Final = 300


def drain(url: str, workers: int, pairs: int) -> dict[str, float]:
    """Fill an empty Redis with pairs, and drain them; Redis' CPU and commands for each pair, by unit."""
    redis: Any = Redis.from_url(url)
    redis.flushall()
    share = [workers] if workers == 1 else [workers // PROCESSES] * PROCESSES
    with tempfile.TemporaryDirectory() as folder:
        _ended(_drill("fill", url, pairs, folder))
        programs = [_drill("work", url, count, folder) for count in share]
        for program in programs:
            assert program.stdout is not None  # noqa: S101 - it was opened
            if program.stdout.readline().strip() != "ready":
                raise started.StartError(f"{program.args!r} ended")
        # Redis' own counters tell CPU and commands, those inside scripts included.
        redis.config_resetstat()
        before_s = _cpu_s(redis)
        for program in programs:
            assert program.stdin is not None  # noqa: S101 - it was opened
            program.stdin.write("\n")
            program.stdin.flush()
        done = sum(_ended(program) for program in programs)
        cpu_ms = (_cpu_s(redis) - before_s) * 1e3
        calls = sum(stat["calls"] for stat in redis.info("commandstats").values())
    if done < pairs:
        raise started.StartError(f"{done} of {pairs} pairs were drained")
    return {CPU_UNIT: cpu_ms / pairs, COMMANDS_UNIT: calls / pairs}


async def idle_percent(seconds: float) -> float:
    """The CPU of Redis, as a part of a core, under a stack of 3 nodes, 2 balancers and 1 worker without a user."""
    counts = ("--nodes", "3", "--balancers", "2", "--workers-min", "1", "--workers-max", "1")
    with tempfile.TemporaryDirectory() as folder:
        async with deployed(Path(folder) / "state", *counts) as file:
            redis: Any = Redis.from_url(read(file).redis)
            # Until the starts of all programs are over.
            await asyncio.sleep(SETTLE_S)
            before_s, began_s = _cpu_s(redis), time.monotonic()
            await asyncio.sleep(seconds)
            return (_cpu_s(redis) - before_s) / (time.monotonic() - began_s) * 100


def rows(url: str, *, quick: bool, workers: Sequence[int] = WORKERS) -> Iterator[Row]:
    """The rows of drains and of the idle stack."""
    for count in workers:
        pairs = max(PAIRS_MIN, PAIRS_PER_WORKER * count // (4 if quick else 1))
        found = drain(url, count, pairs)
        case = f"drain of a pair, {count} worker{'s' * (count > 1)}"
        yield limited(case, CPU_UNIT, found[CPU_UNIT], limit=CPU_MS_MAX[count])
        yield limited(case, COMMANDS_UNIT, found[COMMANDS_UNIT], limit=COMMANDS_MAX)
    percent = asyncio.run(idle_percent(8 if quick else 30))
    yield limited("idle: 3 nodes, 2 balancers, 1 worker", IDLE_UNIT, percent, limit=IDLE_PERCENT_MAX)


def _cpu_s(redis: Any) -> float:  # noqa: ANN401 - redis-py types its answers for sync and async clients at once
    found = redis.info("cpu")
    return float(found["used_cpu_user"]) + float(found["used_cpu_sys"])


def _drill(command: str, url: str, count: int, folder: str) -> "subprocess.Popen[str]":
    words = [sys.executable, "-m", "processors.drain_drill", command, url, str(count), "--store", str(Path(folder))]
    # Workers with their real jobs, queue, index and pulses on a file store; only the renders are replaced by waiting
    # (`processors/drain_drill.py`).
    return subprocess.Popen(words, cwd=started.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _ended(program: "subprocess.Popen[str]") -> int:
    """The number of pairs in the report of a program that has ended."""
    said, _ = program.communicate(timeout=TIMEOUT_S)
    if program.returncode:
        raise started.StartError(f"{program.args!r} ended with {program.returncode}")
    return int(json.loads(said.splitlines()[-1])["done"])
