"""What a worker tells every second, and what follows from it: arrivals and service time, as the scaler wants them.

Pure. A pulse counts since its worker's start, so that a lost one costs nothing; the meter takes differences. Jobs that
arrived are those that were done plus those by which the queue grew, with all that run and wait. Both figures are
smoothed over a few seconds: one second of a burst is noisy, and the decision itself is already slow to go down. While
no worker that there should be is heard, what was done is not known: the service time stays, arrivals can only rise.
"""

from collections.abc import Mapping
from typing import Annotated

import msgspec
from cachetools import LRUCache
from msgspec import Meta

from storage.queue.jobs import Depth

from .sizing import Load

# A render of two phone photos is 0.1 to 0.15 s and the flag beside it almost nothing: half of that a job.
SERVICE_GUESS_S = 0.07
# How fast the smoothed figures follow: after this many seconds two thirds of a step are in.
SMOOTHING_S = 3.0
# What a job without a render costs a worker at least, its part of the claim and of the settlement included.
SERVICE_MIN_S = 0.002
# Who misses a pulse is known again at the next; who has gone for good is forgotten when so many others have come.
WORKERS_KEPT_MAX = 10_000


# No worker counts so far in its life (these are millennia), and no sum or product of such numbers leaves the floats.
COUNT_MAX = 2**53
BUSY_S_MAX = 1e12


class Pulse(msgspec.Struct, frozen=True):
    """Jobs done and seconds spent on renders since the worker's start, and jobs that it is running now."""

    jobs_done: Annotated[int, Meta(ge=0, le=COUNT_MAX)]
    busy_s: Annotated[float, Meta(ge=0, le=BUSY_S_MAX)]
    running: Annotated[int, Meta(ge=0, le=COUNT_MAX)] = 0


def worker_name(host: str, pid: int, life: str) -> str:
    """A worker, told from one that had its process id before."""
    return f"{host}:{pid}:{life}"


def process_of(worker: str) -> tuple[str, int] | None:
    """Host and process id of a worker's name; None for what is none."""
    try:
        host, pid, _ = worker.rsplit(":", 2)
        return host, int(pid)
    except ValueError:
        return None


def parse_name(raw: bytes) -> str | None:
    """A worker's name as it stands in Redis; None for what is none."""
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        return None
    return name if process_of(name) else None


def parse_pulse(raw: bytes) -> Pulse | None:
    """A pulse as its worker wrote it; None for what cannot be read, or cannot be."""
    try:
        return msgspec.msgpack.decode(raw, type=Pulse)
    except (msgspec.MsgspecError, RecursionError):
        return None


class Meter:
    """Turns queue depths and pulses into a Load. One instant after the other; times of any clock in seconds."""

    def __init__(self) -> None:
        self._last: LRUCache[str, Pulse] = LRUCache(WORKERS_KEPT_MAX)
        self._last_queued = 0
        self._last_at: float | None = None
        self._arrivals_per_s = 0.0
        self._service_s = SERVICE_GUESS_S

    def load(self, depth: Depth, pulses: Mapping[str, Pulse], workers: int, now_s: float) -> Load:
        """The queue as measured now, with what the time since the last measure tells; `workers` should be heard."""
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
