"""The replay of a burst: sends it open loop, waits until its posts are ready, then fetches what the check needs.

Three things end a replay early: `interrupt`, a health rule that breaks, and a generator that is gone. Uploads in flight
are cut off and not counted, and the posts of the uploads that had ended are still checked. `check` and `report`
interpret the numbers.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from ..clock import Clock
from ..config import Config
from ..outcome import Outcome
from ..service import Moment, Post, Service, ServiceError, milliseconds, stamp
from ..traces.trace import Row
from .beats import Beat, Gathered, Generator
from .check import Finding, Terms, judge
from .cleanup import Cleanup, clean_up
from .course import Course, CourseWatch, by_second
from .cpu import CpuMeter, Tier
from .progress import Pace, Progress, Tally, left_s
from .ready import ReadyWatch, ready_times
from .renditions import check_renditions
from .rules import Health, Rule
from .seconds import Spent
from .sender import Senders

CPU_EVERY_S: Final = 1.0
BEAT_S: Final = 0.25


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to replay; the rows hold one first attempt per user."""

    rows: tuple[Row, ...]
    window_s: int
    stack_file: Path | None = None
    after_s: float = 0.0  # seconds to go on sampling when every post is ready
    rules: tuple[Rule, ...] = ()
    cleanup: bool = False


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """All observations of a replay; times in seconds."""

    moment: Moment
    rows: tuple[Row, ...]
    outcomes: tuple[Outcome, ...]
    posts: tuple[Post, ...]
    ready_s: dict[str, float]  # by the id of the post
    ready_within_s: float
    pending: int
    findings: tuple[Finding, ...]
    bad_renditions: tuple[str, ...]
    cpu_ms: dict[Tier, float | None]
    spent: tuple[Spent, ...]
    course: Course
    seconds: float
    generators: tuple[Generator, ...] = ()
    faults: tuple[str, ...] = ()  # why the run is void
    interrupted: bool = False
    stopped_by: str | None = None  # the rule that ended it, and what it found
    cleanup: Cleanup | None = None
    unchecked: str | None = None  # why the posts could not be checked


class Replay:
    """One replay, by senders and a service that use the same targets."""

    def __init__(self, job: Job, senders: Senders, config: Config, clock: Clock, service: Service) -> None:
        self._job, self._senders, self._config, self._clock, self._service = job, senders, config, clock, service
        self._gathered = Gathered()
        self._tally = Tally(offered=len(job.rows))
        self._health = Health(job.rules)
        self._meter = CpuMeter(job.stack_file) if job.stack_file else None
        self._spent: list[Spent] = []
        self._interrupted = self._cut_short = False
        self._stopped_by: str | None = None
        self._waits: list[asyncio.Task[Any]] = []  # what an early end ends

    def interrupt(self) -> None:
        """Send no more, wait for nothing, check what there is, and return."""
        self._interrupted = True
        self._end_early()

    def _end_early(self) -> None:
        self._cut_short = True
        self._senders.interrupt()
        for task in self._waits:
            task.cancel()

    async def _unless_cut_short(self, work: Coroutine[Any, Any, object]) -> None:
        """Wait for this work to end, or for an early end, which cancels the work."""
        async with asyncio.TaskGroup() as group:
            self._waits.append(group.create_task(work, name="interruptible"))
            # It was called during an early end: the wait must not begin.
            if self._cut_short:
                self._waits[-1].cancel()

    async def run(self, progress: Progress) -> Run:
        """Open a moment, send, wait, check, clean up; ServiceError when the service does not answer."""
        fires_at = round(self._clock.now() + self._config.lead_s, 3)
        moment = await self._service.open_moment(self._config.region, fires_at, self._job.window_s)
        print(f"moment {moment.id} fires at {stamp(moment.fires_at)}", flush=True)
        if not self._job.cleanup:
            return await self._observed(moment, progress)
        made: Run | None = None
        cleaned: Cleanup | None = None
        try:
            made = await self._observed(moment, progress)
        # Whatever the end was, an error included.
        finally:
            try:
                known = [one.post_id for one in self._gathered.outcomes if one.post_id]
                cleaned = await clean_up(self._service, moment.id, known, self._clock)
                print(cleaned.words(), flush=True)
            except asyncio.CancelledError:
                print(f"cleanup: ended early, posts of moment {moment.id} may be left: delete them", flush=True)
                raise
        return msgspec.structs.replace(made, cleanup=cleaned)

    # Open loop: each arrival is sent at its own time and does not wait for earlier answers, so a slow server cannot
    # hide its latency by delaying later requests.
    async def _observed(self, moment: Moment, progress: Progress) -> Run:
        """Send, wait and check."""
        began, fires_at = self._clock.now(), milliseconds(moment.fires_at) / 1000
        watch = ReadyWatch(self._service, moment.id, self._clock)
        course = CourseWatch(self._service, fires_at, self._clock)
        async with asyncio.TaskGroup() as group:
            show = group.create_task(self._show(progress, watch, fires_at), name="progress")
            measure = group.create_task(self._measure(), name="cpu")
            follow = group.create_task(watch.follow(), name="ready")
            look = group.create_task(course.follow(), name="course")
            pulse = group.create_task(self._pulse(course, fires_at), name="beats")
            await self._senders.send(moment.id, fires_at)
            self._take(self._senders.beats())
            follow.cancel()
            if self._senders.faults:
                self._end_early()
            outcomes = self._gathered.outcomes
            pending = await self._settle(outcomes, watch)
            # CPU until everything is ready; the check's own requests are no load of the burst.
            for task in (measure, pulse):
                task.cancel()
            settled = self._clock.now()
            posts, findings, unchecked = await self._judged(moment, outcomes, watch)
            bad = await self._bad_renditions(posts)
            await self._watch_on(settled)
            for task in (look, show):
                task.cancel()
        self._count_ready(watch)
        progress.show(self._tally)
        seen = Course(window_s=self._job.window_s, arrivals=by_second(self._job.rows), samples=tuple(course.samples))
        return Run(
            moment=moment,
            rows=self._job.rows,
            outcomes=outcomes,
            posts=posts,
            ready_s=ready_times(outcomes, posts, watch),
            ready_within_s=watch.pause_max_s,
            pending=pending,
            findings=findings,
            bad_renditions=bad,
            cpu_ms=self._meter.spent_ms() if self._meter else {},
            spent=tuple(self._spent),
            course=seen,
            seconds=settled - began,
            generators=self._gathered.lagging(self._senders.generators()),
            faults=tuple(self._senders.faults),
            interrupted=self._interrupted,
            stopped_by=self._stopped_by,
            unchecked=unchecked,
        )

    async def _watch_on(self, settled: float) -> None:
        """Go on sampling for `after_s` seconds after the last post was ready."""
        if self._job.after_s:
            self._tally.phase = "watching"
            await self._unless_cut_short(self._clock.sleep(settled + self._job.after_s - self._clock.now()))

    async def _pulse(self, course: CourseWatch, fires_at: float) -> None:
        """Take in what the senders did, and end the replay when a health rule breaks."""
        while True:
            self._take(self._senders.beats())
            if course.samples:
                self._health.look(fires_at + course.samples[-1].t, course.samples[-1].oldest_s)
            self._stopped_by = self._health.broken(self._clock.now())
            if self._stopped_by:
                print(f"stopping: {self._stopped_by}", flush=True)
                self._end_early()
                return
            await self._clock.sleep(BEAT_S)

    def _take(self, beats: Sequence[Beat]) -> None:
        """Add to the counts and to the outcomes."""
        tally = self._tally
        self._gathered.take(beats)
        for beat in beats:
            tally.sent += beat.begun
            tally.shed += beat.statuses.count(503)
            tally.limited += beat.statuses.count(429)
            tally.ended += len(beat.ended)
            tally.accepted += sum(each.outcome.acknowledged for each in beat.ended)
        if tally.sent and tally.phase == "waiting":
            tally.phase = "sending"
        self._health.note(self._clock.now(), beats)

    async def _settle(self, outcomes: Sequence[Outcome], watch: ReadyWatch) -> int:
        """Wait for the acknowledged posts; the number of posts that are still neither ready nor rejected."""
        self._tally.phase = "rendering"
        wanted = {outcome.post_id for outcome in outcomes if outcome.acknowledged and outcome.post_id}
        await self._unless_cut_short(watch.until_settled(wanted, self._config.ready_timeout_s))
        self._sample()
        return len(wanted - watch.settled_at.keys())

    async def _bad_renditions(self, posts: Sequence[Post]) -> tuple[str, ...]:
        # A person or a rule wants the end; thousands of requests would delay it.
        if self._cut_short:
            return ()
        ready = sorted({post.id for post in posts if post.state == "ready" and post.user_id in self._gathered.sent})
        incomplete = {post.id for post in posts if not post.complete}
        return tuple(await check_renditions(self._service, ready, self._config.check_sample, incomplete))

    async def _judged(
        self, moment: Moment, outcomes: Sequence[Outcome], watch: ReadyWatch
    ) -> tuple[tuple[Post, ...], tuple[Finding, ...], str | None]:
        """What `_judge` found, or why it found nothing: the service does not answer any more."""
        self._tally.phase = "checking"
        try:
            return (*await self._judge(moment, outcomes, watch), None)
        except ServiceError as error:
            # An answer that the contract does not have is of another service: there is nothing to report.
            if error.status and error.status < 500:
                raise
            return (), (), str(error)

    async def _judge(
        self, moment: Moment, outcomes: Sequence[Outcome], watch: ReadyWatch
    ) -> tuple[tuple[Post, ...], tuple[Finding, ...]]:
        """Check against the listing, then against a direct read of each doubtful post: the listing is only an index."""
        await watch.list_all()
        terms = Terms(milliseconds(moment.closes_at), self._config.clock_margin_ms)
        posts = {post.id: post for post in watch.posts}
        ids = {outcome.user: outcome.post_id for outcome in outcomes if outcome.acknowledged}
        doubtful = {finding.user for finding in judge(self._gathered.sent, outcomes, watch.posts, terms)}
        for user in sorted(doubtful):
            post_id = ids.get(user)
            post = await self._service.post(post_id) if post_id else None
            if post:
                posts[post.id] = post
        found = tuple(posts.values())
        return found, judge(self._gathered.sent, outcomes, found, terms)

    def _count_ready(self, watch: ReadyWatch) -> None:
        self._tally.ready = watch.ready

    async def _show(self, progress: Progress, watch: ReadyWatch, fires_at: float) -> None:
        ends_at = fires_at + self._job.rows[-1].t / 1e6
        pace = Pace()
        while True:
            self._count_ready(watch)
            now = self._clock.now()
            pace.note(now, self._tally.ready)
            self._tally.left_s = left_s(self._tally, ends_at - now, pace.per_s())
            progress.show(self._tally)
            await self._clock.sleep(progress.every_s)

    async def _measure(self) -> None:
        while self._meter:
            self._sample()
            await self._clock.sleep(CPU_EVERY_S)

    def _sample(self) -> None:
        """Read the CPU of the stack, if its processes are known."""
        if self._meter:
            self._meter.sample()
            spent = self._meter.spent_ms().items()
            known: dict[str, float] = {tier: ms for tier, ms in spent if ms is not None}
            self._spent.append(Spent(self._clock.now(), known))
