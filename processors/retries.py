"""When a job that failed is tried again, and what becomes of one that is not: it is kept, never dropped.

`Retrying.run` runs a claimed job once and says what follows: done, again later, or a dead letter. It gives each run a
deadline, sorts what went wrong into outages (store or Redis away, which heals) and faults (which do not heal by
themselves), counts the two apart, and waits exponentially longer with full jitter between a floor and a cap. The floor
is there because full jitter alone spends a third of its tries within the first second of an outage. A job whose workers
die is not run at all any more (storage/queue/lease.py says when). A photo's own fault is no failure: that job ends
well, with a rejected post. This file does not know what jobs do.
"""

import asyncio
import logging
import random
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from arq.worker import Retry
from redis.exceptions import RedisError

from storage.blobs import StoreUnavailable
from storage.queue.lease import Again, Attempts, Claimed, Done, Settlement, is_poison
from storage.records import from_ms
from storage.refusals import reason

from .letters import DeadLetter, Reason
from .metrics import Metrics
from .registry import Unrunnable

log = logging.getLogger("snapsurge.processors.retries")

# Of a stack the end tells most; a letter is read by people.
TRACEBACK_CHARS_MAX = 4000


class Overdue(Exception):
    """One try of a job took longer than its deadline: it waited for a store or a Redis that stays silent."""


# Connections that break reach us as OSError; TimeoutError is one of its kinds.
OUTAGES: tuple[type[Exception], ...] = (StoreUnavailable, RedisError, OSError, Overdue)


class HandBack(Retry):
    """A run after which the job goes back, into `queue` where one is named; it counts as a fault, or not at all.

    arq's `Retry`, with which a stock arq worker runs the job again in its queue.
    """

    def __init__(self, text: str, *, queue: str = "", fault: bool = False) -> None:
        super().__init__()
        self.text = text
        self.queue = queue
        self.fault = fault

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.text!r})"


class Poison(Exception):
    """A job that was started time and again without an end: it takes its worker with it."""


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How often and how long apart: see config.py for the reasons."""

    floor_s: float = 0.2
    cap_s: float = 30.0
    faults_max: int = 5
    outages_max: int = 120
    deadline_s: float = 30.0


def backoff_s(tries: int, patience: Patience, rng: random.Random) -> float:
    """How long to wait after this many tries: full jitter under a bound that doubles, between floor and cap."""
    bound = min(patience.cap_s, patience.floor_s * 2.0 ** min(tries, 32))
    return max(patience.floor_s, rng.uniform(0, bound))


def after(error: Exception, earlier: Attempts, patience: Patience) -> tuple[Attempts, bool]:
    """What is known of a job that failed like this, and whether it is given up."""
    if isinstance(error, OUTAGES):
        attempts = msgspec.structs.replace(earlier, outages=earlier.outages + 1)
        return attempts, attempts.outages >= patience.outages_max
    attempts = msgspec.structs.replace(earlier, faults=earlier.faults + 1)
    return attempts, attempts.faults >= patience.faults_max


class Retrying:
    """Runs jobs, and judges how they end."""

    def __init__(self, metrics: Metrics, patience: Patience, rng: random.Random) -> None:
        self._metrics = metrics
        self._patience = patience
        self._rng = rng
        self._outage = False

    async def run(
        self, claimed: Claimed, name: str, job: Callable[..., Awaitable[object]], args: Sequence[str]
    ) -> Settlement:
        """Run it once; never fails."""
        if is_poison(claimed):
            error = Poison(f"{claimed.attempts.lapses} workers that ran it were lost")
            return self.given_up(claimed, name, args, error, reason="poison")
        try:
            await self._within_deadline(job, args)
        except HandBack as error:
            return self._handed_back(claimed, name, args, error)
        except Retry as error:
            return Again(claimed, claimed.attempts, (error.defer_score or 0) / 1000)
        except Unrunnable as error:
            return self.given_up(claimed, name, args, error, reason="unreadable")
        except Exception as error:  # noqa: BLE001 - whatever a job raises is judged
            return self.failed(claimed, name, args, error)
        if self._outage:
            log.warning("store and Redis are back: %s is done", claimed.id)
        self._outage = False
        self._metrics.jobs_done += 1
        self._metrics.tries.observe(claimed.attempts.runs)
        return Done(claimed)

    def _handed_back(self, claimed: Claimed, name: str, args: Sequence[str], error: HandBack) -> Settlement:
        """Back as it came or as a fault, without a wait where another queue was named: the wait is there."""
        if error.fault:
            settlement = self.failed(claimed, name, args, error)
            return (
                settlement if isinstance(settlement, Done) else msgspec.structs.replace(settlement, queue=error.queue)
            )
        return Again(claimed, claimed.attempts, 0.0 if error.queue else self._patience.floor_s, error.queue)

    def failed(self, claimed: Claimed, name: str, args: Sequence[str], error: Exception) -> Settlement:
        """What follows from an error."""
        self._metrics.failures.labels(name, type(error).__name__).inc()
        attempts, last = after(error, claimed.attempts, self._patience)
        outage = isinstance(error, OUTAGES)
        if last:
            return self.given_up(claimed, name, args, error, reason="outage" if outage else "fault")
        delay_s = backoff_s(attempts.outages if outage else attempts.faults, self._patience, self._rng)
        if not outage:
            log.warning("%s failed on run %d, again in %.1f s: %r", claimed.id, claimed.attempts.runs, delay_s, error)
        elif not self._outage:
            log.warning("store or Redis is away, jobs are tried again: %s: %s", claimed.id, reason(error))
        self._outage = self._outage or outage
        return Again(claimed, attempts, delay_s)

    def given_up(self, claimed: Claimed, name: str, args: Sequence[str], error: Exception, *, reason: Reason) -> Done:
        """The job's end, with the letter that is kept of it."""
        self._metrics.dead.labels(name).inc()
        runs = claimed.attempts.runs - (reason == "poison")  # of which the last was not begun
        log.error("%s is dead (%s) after %d runs: %r", claimed.id, reason, runs, error, exc_info=error)
        letter = DeadLetter(
            id=claimed.id,
            name=name,
            args=tuple(args),
            error=repr(error)[:1000],
            tries=runs,
            at=from_ms(time.time_ns() // 1_000_000),
            reason=reason,
            traceback="".join(traceback.format_exception(error))[-TRACEBACK_CHARS_MAX:],
        )
        return Done(claimed, msgspec.json.encode(letter))

    async def _within_deadline(self, job: Callable[..., Awaitable[object]], args: Sequence[str]) -> None:
        """Our own deadline: arq's would end the job for good."""
        deadline = asyncio.timeout(self._patience.deadline_s)
        try:
            async with deadline:
                await job(*args)
        except TimeoutError as error:
            if deadline.expired():
                raise Overdue(f"not done within {self._patience.deadline_s:g} s") from error
            raise
