"""The replay of a burst: sends it open loop, waits until its posts are ready, then fetches what the check needs.

Open loop: each arrival is sent at its own time and does not wait for earlier answers. Latency counts from the intended
time, so that a slow server cannot hide its latency by delaying later requests. The replay matches the trace only if the
sender keeps up, so the lag of every first try is recorded. `check` and `report` interpret the numbers.

`interrupt` ends a replay early: uploads in flight are cut off and not counted, nothing is waited for, and the posts of
the uploads that had ended are still checked.
"""

import asyncio
import hashlib
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from ..client import Client
from ..clock import Clock
from ..config import Config
from ..outcome import Attempt, Outcome, Upload
from ..photos import Gallery
from ..service import Moment, Post, Service, milliseconds, stamp
from ..traces.trace import Row
from .check import Finding, Sent, Terms, judge
from .course import Course, CourseWatch, by_second
from .cpu import CpuMeter, Tier
from .progress import Progress, Tally
from .ready import ReadyWatch, ready_times
from .renditions import check_renditions
from .seconds import Spent

PREPARE_S: Final = 0.3  # photos and tokens of an arrival are made this long before its time
CPU_EVERY_S: Final = 1.0


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to replay; the rows hold one first attempt per user."""

    rows: tuple[Row, ...]
    window_s: int
    obey_uplink: bool = True
    stack_file: Path | None = None
    after_s: float = 0.0  # seconds to go on sampling when every post is ready


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
    interrupted: bool = False


class Replay:
    """One replay, with a client and a service that use the same targets."""

    def __init__(
        self, job: Job, gallery: Gallery, config: Config, clock: Clock, client: Client, service: Service
    ) -> None:
        self._job, self._gallery, self._config, self._clock = job, gallery, config, clock
        self._client, self._service = client, service
        self._sent: dict[str, Sent] = {}
        self._tally = Tally(offered=len(job.rows))
        self._meter = CpuMeter(job.stack_file) if job.stack_file else None
        self._spent: list[Spent] = []
        self._interrupted = False
        self._waits: list[asyncio.Task[Any]] = []  # what an interrupt ends

    def interrupt(self) -> None:
        """Send no more, wait for nothing, check what there is, and return."""
        self._interrupted = True
        for task in self._waits:
            task.cancel()

    async def _unless_interrupted(self, work: Coroutine[Any, Any, object]) -> None:
        """Wait for this work to end, or for an interrupt, which cancels the work."""
        async with asyncio.TaskGroup() as group:
            self._interruptible(group.create_task(work, name="interruptible"))

    def _interruptible(self, task: asyncio.Task[Any]) -> None:
        """Let an interrupt cancel this task, also one that came before."""
        self._waits.append(task)
        if self._interrupted:
            task.cancel()

    async def run(self, progress: Progress) -> Run:
        """Open a moment, send, wait, check; ServiceError when the service does not answer."""
        began = self._clock.now()
        moment = await self._service.open_moment(
            self._config.region, round(began + self._config.lead_s, 3), self._job.window_s
        )
        print(f"moment {moment.id} fires at {stamp(moment.fires_at)}", flush=True)
        watch = ReadyWatch(self._service, moment.id, self._clock)
        course = CourseWatch(self._service, milliseconds(moment.fires_at) / 1000, self._clock)
        async with asyncio.TaskGroup() as group:
            show = group.create_task(self._show(progress, watch), name="progress")
            measure = group.create_task(self._measure(), name="cpu")
            follow = group.create_task(watch.follow(), name="ready")
            look = group.create_task(course.follow(), name="course")
            outcomes = await self._send_all(moment)
            follow.cancel()
            pending = await self._settle(outcomes, watch)
            measure.cancel()
            settled = self._clock.now()
            self._tally.phase = "checking"
            posts, findings = await self._judge(moment, outcomes, watch)
            ready = sorted({post.id for post in posts if post.state == "ready" and post.user_id in self._sent})
            incomplete = {post.id for post in posts if not post.complete}
            bad: list[str] = []
            if not self._interrupted:
                bad = await check_renditions(self._service, ready, self._config.check_sample, incomplete)
            if self._job.after_s:
                self._tally.phase = "watching"
                await self._unless_interrupted(self._clock.sleep(settled + self._job.after_s - self._clock.now()))
            look.cancel()
            show.cancel()
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
            bad_renditions=tuple(bad),
            cpu_ms=self._meter.spent_ms() if self._meter else {},
            spent=tuple(self._spent),
            course=seen,
            seconds=settled - began,
            interrupted=self._interrupted,
        )

    async def _settle(self, outcomes: Sequence[Outcome], watch: ReadyWatch) -> int:
        """Wait for the acknowledged posts; the number of posts that are still neither ready nor rejected."""
        self._tally.phase = "rendering"
        wanted = {outcome.post_id for outcome in outcomes if outcome.acknowledged and outcome.post_id}
        await self._unless_interrupted(watch.until_settled(wanted, self._config.ready_timeout_s))
        self._sample()
        return len(wanted - watch.settled_at.keys())

    async def _send_all(self, moment: Moment) -> tuple[Outcome, ...]:
        """Send every arrival at its time; returns when the last upload has ended, with those that were not cut off."""
        sent: list[asyncio.Task[Outcome]] = []
        async with asyncio.TaskGroup() as group:
            self._interruptible(group.create_task(self._begin_all(moment, group, sent), name="arrivals"))
        return tuple(task.result() for task in sent if not task.cancelled())

    async def _begin_all(self, moment: Moment, group: asyncio.TaskGroup, sent: list[asyncio.Task[Outcome]]) -> None:
        """Begin every upload at its time."""
        fires_at = milliseconds(moment.fires_at) / 1000
        for number, row in enumerate(self._job.rows):
            intended = fires_at + row.t / 1e6
            await self._clock.sleep(intended - PREPARE_S - self._clock.now())
            self._tally.phase = "sending" if row.t else "waiting"
            sent.append(group.create_task(self._send(moment.id, number, row, intended), name=f"arrival-{number}"))
            self._interruptible(sent[-1])

    async def _send(self, moment_id: str, number: int, row: Row, intended: float) -> Outcome:
        front, back = self._gallery.photo(str(number), "front", row.f), self._gallery.photo(str(number), "back", row.b)
        self._sent[row.u] = Sent(hashlib.sha256(front).hexdigest(), hashlib.sha256(back).hexdigest())
        upload = Upload(
            moment_id=moment_id,
            user=row.u,
            front=front,
            back=back,
            intended=intended,
            pace=row.up if self._job.obey_uplink else None,
            first_target=number,
        )
        await self._clock.sleep(intended - self._clock.now())
        self._tally.sent += 1
        outcome = await self._client.send(upload, self._count)
        self._tally.ended += 1
        self._tally.accepted += outcome.acknowledged
        return outcome

    async def _judge(
        self, moment: Moment, outcomes: Sequence[Outcome], watch: ReadyWatch
    ) -> tuple[tuple[Post, ...], tuple[Finding, ...]]:
        """Check against the listing, then against a direct read of each doubtful post: the listing is only an index."""
        await watch.list_all()
        terms = Terms(milliseconds(moment.closes_at), self._config.clock_margin_ms)
        posts = {post.id: post for post in watch.posts}
        ids = {outcome.user: outcome.post_id for outcome in outcomes if outcome.acknowledged}
        doubtful = {finding.user for finding in judge(self._sent, outcomes, watch.posts, terms)}
        for user in sorted(doubtful):
            post_id = ids.get(user)
            post = await self._service.post(post_id) if post_id else None
            if post:
                posts[post.id] = post
        found = tuple(posts.values())
        return found, judge(self._sent, outcomes, found, terms)

    def _count(self, attempt: Attempt) -> None:
        self._tally.shed += attempt.status == 503
        self._tally.limited += attempt.status == 429

    def _count_ready(self, watch: ReadyWatch) -> None:
        self._tally.ready = watch.ready

    async def _show(self, progress: Progress, watch: ReadyWatch) -> None:
        while True:
            self._count_ready(watch)
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
            known = {tier: ms for tier, ms in self._meter.spent_ms().items() if ms is not None}
            self._spent.append(Spent(self._clock.now(), known))
