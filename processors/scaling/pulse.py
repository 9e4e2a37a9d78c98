"""A worker's status report (its pulse), and the load that follows from all pulses: arrival rate and service time.

Pure. A pulse holds totals since its worker's start, so a missed pulse loses nothing; the meter takes differences.
Arrivals are the jobs done plus the growth of the queue, running and deferred jobs included. Both figures are smoothed
over a few seconds, because one second of a burst is noisy; the decision itself goes down slowly anyway. When workers
should run but no pulse is fresh, the number of jobs done is unknown: the service time then stays, and the arrival rate
can only rise.
"""

from collections.abc import Mapping
from typing import Annotated

import msgspec
from cachetools import LRUCache
from msgspec import Meta

from storage.queue.jobs import Depth

from .sizing import Load

# Service time before the first measurement. A post has two jobs: its render takes 0.1 to 0.15 s, its flag almost none.
SERVICE_GUESS_S = 0.07
# Time constant of the smoothing: after this many seconds two thirds of a step are visible.
SMOOTHING_S = 3.0
# Minimum cost of a job without a render, its share of claim and settlement included.
SERVICE_MIN_S = 0.002
# Last pulses kept: a worker that misses a pulse is recognised at its next one; the least recent are forgotten.
WORKERS_KEPT_MAX = 10_000


# No worker can reach these totals (they are millennia), and sums and products of them stay finite floats.
COUNT_MAX = 2**53
BUSY_S_MAX = 1e12


class Pulse(msgspec.Struct, frozen=True):
    """Jobs done and seconds spent on renders since the worker's start, and jobs that it is running now."""

    jobs_done: Annotated[int, Meta(ge=0, le=COUNT_MAX)]
    busy_s: Annotated[float, Meta(ge=0, le=BUSY_S_MAX)]
    running: Annotated[int, Meta(ge=0, le=COUNT_MAX)] = 0


def worker_name(host: str, pid: int, life: str) -> str:
    """A worker's name; `life` distinguishes it from an earlier worker with the same process id."""
    return f"{host}:{pid}:{life}"


def process_of(worker: str) -> tuple[str, int] | None:
    """The host and process id in a worker's name; None when the name is malformed."""
    try:
        host, pid, _ = worker.rsplit(":", 2)
        return host, int(pid)
    except ValueError:
        return None


def parse_name(raw: bytes) -> str | None:
    """Decode a worker's name from Redis; None when it is malformed."""
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        return None
    return name if process_of(name) else None


def parse_pulse(raw: bytes) -> Pulse | None:
    """Decode a pulse from Redis; None when it is malformed or out of range."""
    try:
        return msgspec.msgpack.decode(raw, type=Pulse)
    except (msgspec.MsgspecError, RecursionError):
        return None


class Meter:
    """Turns successive queue depths and pulses into a Load. Times are seconds of any clock that does not go back."""

    def __init__(self) -> None:
        self._last: LRUCache[str, Pulse] = LRUCache(WORKERS_KEPT_MAX)
        self._last_queued = 0
        self._last_at: float | None = None
        self._arrivals_per_s = 0.0
        self._service_s = SERVICE_GUESS_S

    def load(self, depth: Depth, pulses: Mapping[str, Pulse], workers: int, now_s: float) -> Load:
        """The load now, with rates since the last call; `workers` is the number of workers that should report."""
        queued = depth.ready + depth.leased + depth.deferred
        if self._last_at is not None and now_s > self._last_at:
            elapsed_s = now_s - self._last_at
            weight = min(elapsed_s / SMOOTHING_S, 1.0)
            past = {name: self._last.get(name, Pulse(0, 0.0)) for name in pulses}
            done = sum(pulse.jobs_done - past[name].jobs_done for name, pulse in pulses.items())
            busy_s = sum(pulse.busy_s - past[name].busy_s for name, pulse in pulses.items())
            arrivals_per_s = max(done + queued - self._last_queued, 0) / elapsed_s
            if pulses or not workers or arrivals_per_s > self._arrivals_per_s:
                self._arrivals_per_s += weight * (arrivals_per_s - self._arrivals_per_s)
            if done > 0:
                self._service_s += weight * (max(busy_s / done, SERVICE_MIN_S) - self._service_s)
        self._last.update(pulses)
        self._last_queued, self._last_at = queued, now_s
        return Load(
            ready=depth.ready,
            oldest_s=depth.oldest_s,
            arrivals_per_s=self._arrivals_per_s,
            service_s=self._service_s,
        )
