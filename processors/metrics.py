"""The metrics of a worker and of the autoscaler, and a small HTTP server that exposes them.

Each object has its own registry, so that two workers in one test process do not share metrics. Every label set that can
occur is there from the start, at 0, because Prometheus sees growth between two scrapes only: a series that begins with
its first event loses that event.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, get_args

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from storage.decision import TIERS
from storage.exposition import OPENMETRICS, page
from storage.histograms import WIDE_BOUNDS_S, Durations
from storage.index import Counts
from storage.queue.jobs import Depth, JobName
from storage.records import Moment, to_ms

# What a path shows, given the query of the request; None: not known now, ValueError: what is wrong with the query.
View = Callable[[Mapping[str, str]], Awaitable[Any]]

TRIES_BUCKETS = (1, 2, 3, 5, 10, 20, 50, 120)
# The names under which the scripts of storage/queue/jobs.py and storage/queue/claims.py count events.
QUEUE_COUNTS = ("enqueued", "finished", "again", "lapsed", "refused", "dead")
OTHER: Final = "other"
OUTCOMES: Final = ("ready", "rejected", "deleted")
JOBS: Final = (*get_args(JobName), OTHER)
KINDS: Final = ("outage", "fault")
# How a render process ends unasked: its exit, the signals that the kernel or a limit of ours sends, or too slow.
ENDS: Final = ("exit", "SIGABRT", "SIGBUS", "SIGKILL", "SIGPROF", "SIGSEGV", "SIGTERM", "given up", OTHER)


def job_label(name: str) -> str:
    """The label of a job; a name that nobody knows, as of an unreadable job, is `other`."""
    return name if name in JOBS else OTHER


class Metrics:
    """The metrics of one worker."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.posts = self._counter(
            "posts", "Renders by outcome; `rejected` is a photo that cannot be decoded, and is logged with its reason",
            outcome=OUTCOMES,
        )  # fmt: skip
        text = "Posts made ready without `full`, because they had waited long: more workers would help"
        self.incomplete = self._counter("incomplete", text)
        self.flagged = self._counter("flagged", "Posts whose late flag was set")
        self.failures = self._counter(
            "failures", "Failed job runs by cause: `outage`, the store or Redis was unavailable; `fault`, an error in "
            "this program, see the worker's log", job=JOBS, kind=KINDS,
        )  # fmt: skip
        self.dead = self._counter(
            "dead", "Jobs given up and kept as dead letters: `python -m processors dead list` shows why", job=JOBS
        )
        self.tries = Histogram(
            "snapsurge_worker_tries", "Runs that a job needed", buckets=TRIES_BUCKETS, registry=registry
        )
        self.claims = self._counter("claims", "Jobs claimed")
        self.sick = Gauge("snapsurge_worker_sick", "1 while this worker rests: its own jobs fail", registry=registry)
        self.lapses = self._counter(
            "lapses", "Jobs claimed whose last worker was lost: workers die, or stand still for longer than their lease"
        )
        self.refused = self._counter("refused", "Job results rejected, because the worker no longer held the lease")
        self.renderers = self._counter(
            "renderers_ended", "Render processes that ended unexpectedly: SIGPROF, CPU budget exceeded (an expensive "
            "photo); SIGKILL, out of memory; any other signal, a crash, see the log", cause=ENDS,
        )  # fmt: skip
        self.render = Durations(
            "snapsurge_render_seconds",
            "Seconds of a render in the render process; the drain time follows from it and the number of workers",
            bounds=WIDE_BOUNDS_S,
            registry=registry,
        ).series()
        # The drain target is a minute, so times far above it matter too.
        self.ready = Durations(
            "snapsurge_accept_to_ready_seconds",
            "Seconds from received_at to a stored media object; the aim is 99 % within 60 s",
            bounds=WIDE_BOUNDS_S,
            registry=registry,
        ).series()
        # Not exposed here: the pulse carries these two to the autoscaler.
        self.jobs_done = 0
        self.busy_s = 0.0

    def _counter(self, name: str, text: str, **labels: tuple[str, ...]) -> Counter:
        """A counter with all combinations of these label values at 0."""
        made = Counter(f"snapsurge_worker_{name}_total", text, list(labels), registry=self.registry)
        children: list[tuple[str, ...]] = [()] if labels else []
        for values in labels.values():
            children = [(*child, value) for child in children for value in values]
        for child in children:
            made.labels(*child)
        return made


class Counted(msgspec.Struct, frozen=True):
    """A moment and its counts; None while they may not cover every post in the store, or, not `read`, are not known."""

    moment: Moment
    counts: Counts | None
    read: bool = True


class ScalerMetrics:
    """The metrics of the autoscaler: the queue as measured, the workers, and the moments.

    Only the leader knows these, so only the leader shows them; a standby would show what was true when it led.
    """

    def __init__(self) -> None:
        self.registry, led = CollectorRegistry(), CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.elected = Gauge(
            "snapsurge_autoscaler_elected",
            "1 if this autoscaler is the leader, else 0; if the sum over all is 0, nothing scales or sweeps",
            registry=self.registry,
        )
        self.swept = Counter(
            "snapsurge_swept_jobs_total",
            "Jobs that the sweeper queued, because the queue had lost them or nodes could not reach Redis",
            registry=self.registry,
        )
        self.lost = Counter(
            "snapsurge_swept_lost_total",
            "Posts with renditions whose pair is missing in the store, counted once a sweep pass: `python -m "
            "processors verify` names them, and `--repair` makes posts of them again",
            registry=self.registry,
        )
        self.registry.register(_Led(self.elected, led))
        self.led = led  # what only the leader shows
        self._queue()
        for tier in TIERS:
            if tier != "worker":
                self.tiers.labels(tier)
        # Counted in Redis, which may lose its counts: then the counter falls, as after a restart.
        self.counted = dict.fromkeys(QUEUE_COUNTS, 0)
        self.moments: tuple[Counted, ...] = ()
        led.register(_Known(self))

    def measure(self, depth: Depth, now_s: float) -> None:
        """The queue as it was measured now."""
        self.dead.set(depth.dead)
        self.ready.set(depth.ready)
        self.oldest.set(depth.oldest_s)
        self.leased.set(depth.leased)
        self.deferred.set(depth.deferred)
        for name in QUEUE_COUNTS:
            self.counted[name] = depth.counted.get(name, 0)
        self.measured.set(now_s)

    def _queue(self) -> None:
        """The gauges of queue, workers and sweeper."""
        self.ready = self._gauge("queue_ready", "Jobs ready to be claimed")
        self.leased = self._gauge("queue_leased", "Jobs that a worker holds")
        self.deferred = self._gauge(
            "queue_deferred", "Jobs that wait for another try; many: the store or Redis failed them, see worker logs"
        )
        self.oldest = self._gauge(
            "queue_oldest_seconds",
            "Age of the oldest job whose time has come; above the drain target (60 s) more workers are needed",
        )
        self.measured = self._gauge(
            "queue_measured_timestamp_seconds",
            "Unix time at which the queue was last measured; older than some seconds: Redis does not answer, and all "
            "values of the queue are old",
        )
        self.workers = self._gauge("workers", "Worker processes that claim jobs")
        self.desired = self._gauge(
            "workers_desired", "Desired number of workers; if snapsurge_workers stays below it, workers fail to start"
        )
        self.tiers = Gauge(
            "snapsurge_tier_desired",
            "Processes of a tier that the ladder wants now; 0 without a moment near, or without a ladder",
            ["tier"],
            registry=self.led,
        )
        self.dead = self._gauge(
            "dead_letters", "Jobs given up and kept: list them with `python -m processors dead list`, mend, requeue"
        )
        self.behind = self._gauge(
            "sweep_behind_seconds",
            "How late the sweeper's next step is; growing: the store or Redis does not answer",
        )

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"snapsurge_{name}", text, registry=self.led)


class _Led(Collector):
    """What only the leader shows."""

    def __init__(self, elected: Gauge, led: CollectorRegistry) -> None:
        self._elected, self._led = elected, led

    def collect(self) -> Iterator[Metric]:
        """The families of the leader; nothing while another autoscaler leads."""
        if any(sample.value for metric in self._elected.collect() for sample in metric.samples):
            yield from self._led.collect()


class _Known(Collector):
    """Families whose values, or label values, come from Redis."""

    def __init__(self, metrics: ScalerMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """The events of the queue, and each moment near now."""
        events = CounterMetricFamily(
            "snapsurge_queue_events",
            "What happened to jobs since Redis was empty; `lapsed`: workers were lost, `again`: tries failed, `dead`: "
            "jobs were given up",
            labels=["event"],
        )
        for name, count in self._metrics.counted.items():
            events.add_metric([name], count)
        yield events
        yield from self._moments()

    def _moments(self) -> Iterator[Metric]:
        of_moment = ["moment", "region"]
        fires = GaugeMetricFamily(
            "snapsurge_moment_fires_timestamp_seconds", "Unix time at which the moment fires", labels=of_moment
        )
        closes = GaugeMetricFamily(
            "snapsurge_moment_closes_timestamp_seconds",
            "Unix time from which posts of the moment are late",
            labels=of_moment,
        )
        complete = GaugeMetricFamily(
            "snapsurge_moment_counts_complete",
            "1 while the counts of the moment cover every post in the store; 0: the sweeper is counting again, and "
            "snapsurge_moment_posts is absent; absent itself while Redis does not answer",
            labels=["moment"],
        )
        posts = GaugeMetricFamily(
            "snapsurge_moment_posts",
            "Posts of the moment by state, exact, from the index; `pending` ones are neither ready nor rejected",
            labels=["moment", "state"],
        )
        for one in self._metrics.moments:
            fires.add_metric([one.moment.id, one.moment.region], to_ms(one.moment.fires_at) / 1000)
            closes.add_metric([one.moment.id, one.moment.region], to_ms(one.moment.closes_at) / 1000)
            if one.read:
                complete.add_metric([one.moment.id], int(one.counts is not None))
            for state, number in msgspec.structs.asdict(one.counts).items() if one.counts else ():
                posts.add_metric([one.moment.id, state], number)
        yield from (fires, closes, complete, posts)


@asynccontextmanager
async def exposed(
    listen: tuple[str, int] | None,
    registry: CollectorRegistry,
    views: Mapping[str, View] | None = None,
) -> AsyncIterator[int | None]:
    """Serve `/metrics`, `/livez` and each view as JSON inside the block; yields the port, None without an address.

    When a view returns None, its value is unknown now and the answer is 503; a bad query is answered 400.
    """
    if listen is None:
        yield None
        return

    async def metrics(request: web.Request) -> web.Response:
        body, kind = page(registry, as_openmetrics=OPENMETRICS in request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": kind})

    async def alive(_: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def view(request: web.Request) -> web.Response:
        try:
            shown = await (views or {})[request.path](request.query)
        except ValueError as error:
            return web.Response(status=400, text=f"{error}\n")
        if shown is None:
            return web.Response(status=503, text="not known now\n")
        return web.Response(body=msgspec.json.encode(shown), content_type="application/json")

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics), web.get("/livez", alive)])
    app.add_routes([web.get(path, view) for path in views or {}])
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        site = web.TCPSite(runner, *listen)
        await site.start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
