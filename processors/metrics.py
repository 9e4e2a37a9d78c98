"""What a worker and the autoscaler count, and the small HTTP server that shows it when an address was given.

Registries belong to the value, not to the process: two workers in one test do not meet.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

RENDER_BUCKETS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30)
# From accepted to ready: the drain target decides, so minutes count as much as seconds.
READY_BUCKETS = (0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)

TRIES_BUCKETS = (1, 2, 3, 5, 10, 20, 50, 120)
# As the scripts of storage/queue/jobs.py and storage/queue/claims.py count them.
QUEUE_COUNTS = ("enqueued", "finished", "again", "lapsed", "refused", "dead")


class Metrics:
    """What one worker did."""

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
        self.render = Histogram(
            "snapsurge_render_seconds", "Time in the render process", buckets=RENDER_BUCKETS, registry=registry
        )
        self.renderers = Counter(
            "snapsurge_worker_renderers_ended_total",
            "Render processes that ended unasked",
            ["cause"],
            registry=registry,
        )
        self.ready = Histogram(
            "snapsurge_accept_to_ready_seconds",
            "From received_at to a stored media object",
            buckets=READY_BUCKETS,
            registry=registry,
        )
        self.jobs_done = 0  # and what follows go into the pulse, which the autoscaler reads
        self.busy_s = 0.0


class ScalerMetrics:
    """What the autoscaler sees and wants."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.ready = Gauge("snapsurge_queue_ready", "Jobs whose time has come and that are not done", registry=registry)
        self.leased = Gauge("snapsurge_queue_leased", "Jobs that a worker holds", registry=registry)
        self.deferred = Gauge("snapsurge_queue_deferred", "Jobs that wait for another try", registry=registry)
        # A gauge, for Redis counts and may lose its counts; rate() takes that for a counter's reset.
        self.counted = Gauge(
            "snapsurge_queue_events", "What happened to jobs since Redis was empty", ["event"], registry=registry
        )
        self.oldest = Gauge("snapsurge_queue_oldest_seconds", "Age of the oldest of them", registry=registry)
        self.workers = Gauge("snapsurge_workers", "Worker processes that claim jobs", registry=registry)
        self.desired = Gauge("snapsurge_workers_desired", "Worker processes there should be", registry=registry)
        self.dead = Gauge("snapsurge_dead_letters", "Jobs given up and kept", registry=registry)
        self.elected = Gauge(
            "snapsurge_autoscaler_elected", "1 while this autoscaler decides, 0 while another does", registry=registry
        )
        self.swept = Counter("snapsurge_swept_jobs_total", "Jobs that the sweeper queued", registry=registry)


@asynccontextmanager
async def exposed(
    listen: tuple[str, int] | None,
    registry: CollectorRegistry,
    views: Mapping[str, Callable[[], Awaitable[Any]]] | None = None,
) -> AsyncIterator[int | None]:
    """Serve `/metrics`, `/livez` and each view as JSON while inside; gives the port, None where nothing listens.

    A view that gives None does not know: 503.
    """
    if listen is None:
        yield None
        return

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def alive(_: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def view(request: web.Request) -> web.Response:
        shown = await (views or {})[request.path]()
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
