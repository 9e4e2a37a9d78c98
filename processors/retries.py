"""Runs a claimed job once and decides what follows: done, a retry, or a dead letter. No job is dropped.

Errors are outages (the store or Redis is unavailable, or this process lacks something, which passes) or faults (which
do not pass by themselves). The two are counted separately, each with its own maximum of tries. A fault that tells more
of the worker than of the job counts as an outage: one at a worker that is sick (sickness.py), and a further one at the
worker where the job failed last, while there are other workers. So a sick worker spends one of the few tries of a job
at most, and a job that fails everywhere still ends. The delay before a retry is exponential backoff with
full jitter between a floor and a cap. A job whose workers keep dying becomes a dead letter without another run (the
limit is in storage/queue/lease.py). A bad photo is no error: its job succeeds with a rejected post. This file does not
know what jobs do.
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
from storage.queue.jobs import FLAGS
from storage.queue.lease import Again, Attempts, Claimed, Done, Settlement, is_poison
from storage.records import from_ms
from storage.refusals import reason
from storage.zips import Damaged

from .config import Config
from .letters import DeadLetter, Reason
from .metrics import Metrics, job_label
from .registry import Unrunnable
from .sickness import Sickness

log = logging.getLogger("snapsurge.processors.retries")

# The last characters of a traceback are kept, because the end tells most.
TRACEBACK_CHARS_MAX = 4000


class Overdue(Exception):
    """One try of a job exceeded its deadline because the store or Redis did not answer."""


class OfThePost(Exception):
    """A fault that the post causes, or its user; it says nothing of the worker."""


# A broken connection raises OSError; TimeoutError is a subclass.
OUTAGES: tuple[type[Exception], ...] = (StoreUnavailable, RedisError, OSError, MemoryError, Overdue)
# Of these, what other workers meet too.
OF_OTHERS = (StoreUnavailable, RedisError, ConnectionError, TimeoutError, Overdue)


class HandBack(Retry):
    """The job goes back to its queue, or to `queue` when that is named; the run counts as a `fault` or not at all.

    A subclass of arq's `Retry`, so that a stock arq worker runs the job again in its queue.
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
    """A job whose workers were lost in the middle of it, again and again: it probably kills them."""


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of retrying: delays, maximum tries, and the deadline of one try; config.py has the reasons."""

    floor_s: float = 0.2
    cap_s: float = 30.0
    faults_max: int = 5
    outages_max: int = 120
    deadline_s: float = 30.0


def patience(config: Config) -> Patience:
    """The retry settings of this configuration as one value."""
    return Patience(
        floor_s=config.retry_floor_s,
        cap_s=config.retry_cap_s,
        faults_max=config.faults_max,
        outages_max=config.outages_max,
        deadline_s=config.job_timeout_s,
    )


def backoff_s(tries: int, patience: Patience, rng: random.Random) -> float:
    """Seconds to wait after this many tries: full jitter under a doubling bound, between floor and cap."""
    # The floor: full jitter alone would spend a third of its tries in the first second of an outage.
    bound = min(patience.cap_s, patience.floor_s * 2.0 ** min(tries, 32))
    return max(patience.floor_s, rng.uniform(0, bound))


class Worker(msgspec.Struct, frozen=True):
    """What is known of the worker at which a job fails."""

    name: str = ""
    sick: bool = False
    alone: bool = True


def concerns_worker(error: Exception) -> bool:
    """Whether this error may say something of the worker, as neither the post nor store or Redis cause it."""
    return not isinstance(error, (HandBack, Damaged, OfThePost, *OF_OTHERS))


def after(error: Exception, earlier: Attempts, patience: Patience, worker: Worker) -> tuple[Attempts, bool]:
    """The job's counts of tries after this error, and whether the job is given up."""
    again_here = earlier.failed_by == worker.name and not worker.alone
    if concerns_worker(error):
        earlier = msgspec.structs.replace(earlier, failed_by=worker.name)
    if isinstance(error, OUTAGES) or (concerns_worker(error) and (worker.sick or again_here)):
        attempts = msgspec.structs.replace(earlier, outages=earlier.outages + 1)
        return attempts, attempts.outages >= patience.outages_max
    attempts = msgspec.structs.replace(earlier, faults=earlier.faults + 1)
    return attempts, attempts.faults >= patience.faults_max


class Retrying:
    """Runs claimed jobs and turns each result or error into a settlement.

    `redis_of` names the Redis that a job with these arguments needs, `worker` is this worker's name. `alone` is to be
    kept up to date: whether there is no other worker.
    """

    def __init__(
        self,
        metrics: Metrics,
        patience: Patience,
        rng: random.Random,
        redis_of: Callable[[Sequence[str]], str] = lambda _args: "Redis",
        *,
        worker: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._metrics = metrics
        self._patience = patience
        self._rng = rng
        self._redis_of = redis_of
        self._away: set[str] = set()
        self._worker = worker
        self._clock = clock
        self.alone = True
        # Flags need no render process, so a worker that cannot render may well set them.
        self.renders, self.flags = Sickness(), Sickness()

    def sickness(self, claimed: Claimed) -> Sickness:
        """The health of this worker at jobs like this one."""
        return self.flags if claimed.queue == FLAGS else self.renders

    async def run(
        self, claimed: Claimed, name: str, job: Callable[..., Awaitable[object]], args: Sequence[str]
    ) -> Settlement:
        """Run the job once and return its settlement; a job's error is never raised."""
        if is_poison(claimed):
            # Without another run, which would probably cost one more worker.
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
        for what in sorted(self._away & {"the store", "the store or Redis", self._redis_of(args)}):
            log.warning("%s is available again (job %s succeeded)", what, claimed.id)
            self._away.discard(what)
        if self.sickness(claimed).succeeded():
            log.warning("job %s succeeded: this worker is no longer sick and claims jobs as before", claimed.id)
            self._metrics.sick.set(self.renders.sick or self.flags.sick)
        self._metrics.jobs_done += 1
        self._metrics.tries.observe(claimed.attempts.runs)
        return Done(claimed)

    def _handed_back(self, claimed: Claimed, name: str, args: Sequence[str], error: HandBack) -> Settlement:
        """Return the job to a queue: as a fault with its backoff, or uncounted; at once when another queue is named."""
        if error.fault:
            settlement = self.failed(claimed, name, args, error)
            return (
                settlement if isinstance(settlement, Done) else msgspec.structs.replace(settlement, queue=error.queue)
            )
        # In its own queue it would be claimed again at once, so there it waits.
        return Again(claimed, claimed.attempts, 0.0 if error.queue else self._patience.floor_s, error.queue)

    def failed(self, claimed: Claimed, name: str, args: Sequence[str], error: Exception) -> Settlement:
        """Count the error; a retry, or a dead letter after the last try."""
        self._examine(claimed, args, error)
        worker = Worker(self._worker, self.sickness(claimed).sick, self.alone)
        attempts, last = after(error, claimed.attempts, self._patience, worker)
        outage = attempts.outages > claimed.attempts.outages
        self._metrics.failures.labels(job_label(name), "outage" if outage else "fault").inc()
        if last:
            return self.given_up(claimed, name, args, error, reason="outage" if outage else "fault")
        delay_s = backoff_s(attempts.outages if outage else attempts.faults, self._patience, self._rng)
        if concerns_worker(error) or not outage:
            log.warning("%s failed on run %d, again in %.1f s: %r", claimed.id, claimed.attempts.runs, delay_s, error)
        elif (what := self._unavailable(error, args)) not in self._away:
            # One line for an outage, not one for each of its jobs.
            log.warning("%s is unavailable, jobs are retried: %s: %s", what, claimed.id, reason(error))
            self._away.add(what)
        return Again(claimed, attempts, delay_s)

    def _examine(self, claimed: Claimed, args: Sequence[str], error: Exception) -> None:
        """Learn from this error whether the worker is sick; then it rests."""
        if not concerns_worker(error):
            return
        rest_s = self.sickness(claimed).failed(args[-1] if args else claimed.id, self._clock())
        if rest_s:
            log.error(
                "this worker is sick: jobs of different posts fail here one after the other; it claims one job in %g s "
                "and leaves the others to other workers. If it stays sick, look at its limits and memory, and restart "
                "it: %r",
                rest_s,
                error,
            )
        self._metrics.sick.set(self.renders.sick or self.flags.sick)

    def _unavailable(self, error: Exception, args: Sequence[str]) -> str:
        if isinstance(error, RedisError):
            return self._redis_of(args)
        return "the store" if isinstance(error, StoreUnavailable) else "the store or Redis"

    def given_up(self, claimed: Claimed, name: str, args: Sequence[str], error: Exception, *, reason: Reason) -> Done:
        """The settlement that ends the job and keeps its dead letter."""
        self._metrics.dead.labels(job_label(name)).inc()
        runs = claimed.attempts.runs - (reason == "poison")  # A poison job's last claim was not run.
        log.error(
            "job %s given up after %d runs (%s), kept as a dead letter: %r",
            claimed.id,
            runs,
            reason,
            error,
            exc_info=error,
        )
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
        """Await the job under a deadline of our own, because arq's timeout would end the job for good."""
        deadline = asyncio.timeout(self._patience.deadline_s)
        try:
            async with deadline:
                await job(*args)
        except TimeoutError as error:
            if deadline.expired():
                raise Overdue(f"not done within {self._patience.deadline_s:g} s") from error
            raise
