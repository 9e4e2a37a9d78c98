"""The clock of the scripts, on a Redis whose machine's clock is really set: it neither goes back nor leaps."""

import contextlib
import itertools
import mmap
import shutil
import struct
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from deploy.config import Environment
from storage.queue.claims import Claims
from storage.queue.jobs import Queue, jobs_of
from storage.queue.lease import Again, Attempts, Claimed, Done
from storage.queue.redis_clock import CLOCK, STEP_MS_MAX
from storage.scripts import MENDING

# Adds what the file CLOCK_STEP says, seconds as an int64, to the time of day; other clocks go on.
SHIM = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static volatile int64_t *step;
__attribute__((constructor)) static void begin(void) {
  step = mmap(0, 8, PROT_READ, MAP_SHARED, open(getenv("CLOCK_STEP"), O_RDONLY), 0);
}
int clock_gettime(clockid_t id, struct timespec *ts) {
  int r = syscall(SYS_clock_gettime, id, ts);
  if (step && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) ts->tv_sec += *step;
  return r;
}
int gettimeofday(struct timeval *tv, void *tz) {
  struct timespec ts;
  int r = clock_gettime(CLOCK_REALTIME, &ts);
  tv->tv_sec = ts.tv_sec; tv->tv_usec = ts.tv_nsec / 1000;
  return r;
}
time_t time(time_t *out) {
  struct timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  if (out) *out = ts.tv_sec;
  return ts.tv_sec;
}
"""

Set = Callable[[int], None]


@pytest.fixture
def clock(
    tmp_path: Path, redis_server: Callable[[], AbstractContextManager[str]], monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, Set]]:
    """The address of a Redis of its own, and how to set its machine's clock: seconds off the true time."""
    compiler = shutil.which("cc")
    if compiler is None:
        missing = pytest.fail if Environment.current().get("CI") == "true" else pytest.skip
        missing("no C compiler here to set a clock with: apt-get install gcc libc6-dev")
    (tmp_path / "shim.c").write_text(SHIM)
    shim, step = tmp_path / "shim.so", tmp_path / "step"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", shim, tmp_path / "shim.c"], check=True)
    step.write_bytes(bytes(8))
    with step.open("r+b") as file, mmap.mmap(file.fileno(), 8) as mapped, contextlib.ExitStack() as stack:
        with monkeypatch.context() as patch:
            patch.setenv("CLOCK_STEP", str(step))
            patch.setenv("LD_PRELOAD", str(shim))
            url = stack.enter_context(redis_server())
        yield url, lambda seconds: struct.pack_into("q", mapped, 0, seconds)


@pytest.fixture
async def skewed(clock: tuple[str, Set]) -> AsyncIterator[Redis]:
    """A client of that Redis."""
    async with Redis.from_url(clock[0]) as client:
        yield client


async def _now(redis: Redis) -> int:
    return int(await redis.eval(f"{MENDING} {CLOCK} return string.format('%.0f', now)", 0))


async def _claimed(claims: Claims, token: str) -> list[Claimed]:
    """What is due within a tick of the clock."""
    for turn in range(1000):
        if found := await claims.claim(f"{token}{turn}", 9):
            return found
    return []


async def test_time_neither_goes_back_nor_leaps(clock: tuple[str, Set], skewed: Redis) -> None:
    """Whatever the machine's clock does: never back, and on by a step at most."""
    before, times = (await skewed.time())[0], [await _now(skewed)]
    for seconds in (600, 0, -600, 86_400, 0, 0):
        clock[1](seconds)
        times.append(await _now(skewed))
    assert (await skewed.time())[0] - before < 300
    steps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert all(-100 <= step < STEP_MS_MAX + 100 for step in steps), steps
    assert steps[0] >= STEP_MS_MAX


async def test_jobs_are_due_though_the_clock_was_set_back(clock: tuple[str, Set], skewed: Redis) -> None:
    """Queued and put off while it was ahead, claimed when it is right again."""
    clock[1](600)
    claims, queue = Claims(skewed, 6), Queue(skewed)
    await queue.enqueue(jobs_of("m", "before"))
    flag, render = await claims.claim("w:1", 2)
    await claims.settle([Again(render, Attempts(faults=1), 0), Done(flag)])
    clock[1](0)
    assert [one.id for one in await _claimed(claims, "w:2")] == ["render_pair:before"]
    await queue.enqueue(jobs_of("m", "after"))
    assert len(await _claimed(claims, "w:3")) == 2
    assert (await queue.depth()).oldest_s < 60


async def test_no_lease_ends_because_the_clock_was_set_forward(clock: tuple[str, Set], skewed: Redis) -> None:
    """Nor because it is set back then: the worker that runs the job keeps it; an orphan's lease ends as before."""
    claims = Claims(skewed, 60)
    await Queue(skewed).enqueue(jobs_of("m", "p"))
    claimed = await claims.claim("w:1", 2)
    for seconds in (600, 0):
        clock[1](seconds)
        assert await claims.claim("w:2", 2) == []
        assert await claims.extend(claimed) == []
    for seconds in range(10, 10_000, 10):  # nobody extends them any more
        clock[1](seconds)
        if again := await claims.claim("w:3", 2):
            break
    assert [one.attempts.lapses for one in again] == [1, 1]
