"""The metrics of a worker and of the autoscaler, and a small HTTP server that exposes them.

Each object has its own registry, so that two workers in one test process do not share metrics.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from storage.histograms import WIDE_BOUNDS_S, Durations

# What a path shows, given the query of the request; None: not known now, ValueError: what is wrong with the query.
View = Callable[[Mapping[str, str]], Awaitable[Any]]

TRIES_BUCKETS = (1, 2, 3, 5, 10, 20, 50, 120)
# The names under which the scripts of storage/queue/jobs.py and storage/queue/claims.py count events.
QUEUE_COUNTS = ("enqueued", "finished", "again", "lapsed", "refused", "dead")


class Metrics:
    """The metrics of one worker."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.posts = Counter("snapsurge_worker_posts_total", "Renders by outcome", ["outcome"], registry=registry)
        self.incomplete = Counter(
            "snapsurge_worker_incomplete_total", "Posts made ready without `full`", registry=registry
        )
        self.flagged = Counter("snapsurge_worker_flagged_total", "Posts whose late flag was set", registry=registry)
        self.failures = Counter(
            "snapsurge_worker_failures_total", "Tries of jobs that failed", ["job", "error"], registry=registry
        )
        self.dead = Counter("snapsurge_worker_dead_total", "Jobs given up and kept", ["job"], registry=registry)
        self.tries = Histogram(
            "snapsurge_worker_tries", "Runs that a job needed", buckets=TRIES_BUCKETS, registry=registry
        )
        self.claims = Counter("snapsurge_worker_claims_total", "Jobs claimed", registry=registry)
        self.lapses = Counter(
            "snapsurge_worker_lapses_total", "Jobs claimed whose last worker was lost", registry=registry
        )
        self.refused = Counter(
            "snapsurge_worker_refused_total", "Settlements refused: the job was not ours any more", registry=registry
        )
        self.render = Durations(
            "snapsurge_render_seconds", "Time in the render process", bounds=WIDE_BOUNDS_S, registry=registry
        ).series()
        self.renderers = Counter(
            "snapsurge_worker_renderers_ended_total",
            "Render processes that ended unasked",
            ["cause"],
            registry=registry,
        )
        # The drain target is a minute, so times far above it matter too.
        self.ready = Durations(
            "snapsurge_accept_to_ready_seconds",
            "From received_at to a stored media object",
            bounds=WIDE_BOUNDS_S,
            registry=registry,
        ).series()
        # Not exposed here: the pulse carries these two to the autoscaler.
        self.jobs_done = 0
        self.busy_s = 0.0


class ScalerMetrics:
    """The metrics of the autoscaler: the queue as measured, and the workers."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.ready = Gauge("snapsurge_queue_ready", "Jobs whose time has come and that are not done", registry=registry)
        self.leased = Gauge("snapsurge_queue_leased", "Jobs that a worker holds", registry=registry)
        self.deferred = Gauge("snapsurge_queue_deferred", "Jobs that wait for another try", registry=registry)
        # A gauge, because Redis counts these events and may lose its counts; rate() handles that as a counter reset.
        self.counted = Gauge(
            "snapsurge_queue_events", "What happened to jobs since Redis was empty", ["event"], registry=registry
        )
        self.oldest = Gauge("snapsurge_queue_oldest_seconds", "Age of the oldest of them", registry=registry)
        self.workers = Gauge("snapsurge_workers", "Worker processes that claim jobs", registry=registry)
        self.desired = Gauge("snapsurge_workers_desired", "Worker processes there should be", registry=registry)
        self.tiers = Gauge(
            "snapsurge_tier_desired", "Processes of a tier that the ladder wants now", ["tier"], registry=registry
        )
        self.dead = Gauge("snapsurge_dead_letters", "Jobs given up and kept", registry=registry)
        self.elected = Gauge(
            "snapsurge_autoscaler_elected", "1 while this autoscaler decides, 0 while another does", registry=registry
        )
        self.swept = Counter("snapsurge_swept_jobs_total", "Jobs that the sweeper queued", registry=registry)


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

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

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
