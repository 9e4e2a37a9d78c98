"""Composition: one node's parts, put together and taken apart, and the router over the table of calls."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import prometheus_client
from aiohttp import web
from redis.asyncio import Redis

from storage.blobs import BlobStore
from storage.config import Config as StorageConfig
from storage.index import Index
from storage.moments import Moments
from storage.opening import blob_store, queue_clients, redis_client
from storage.posts import Posts

from .admission import Admission, Budget
from .announcing import Announcer
from .answering import Handler, Lifecycle, answering
from .asked import Asked
from .auth import Authenticator
from .calls import CALLS
from .commits import Commits
from .config import Config
from .docs import Docs
from .gate import Gate
from .limits import Rate
from .memory import found_bytes
from .metrics import Metrics
from .moments import MomentCalls
from .peers import Networks, networks, stamp_of
from .posts import PostCalls
from .ratelimit import RateLimiter
from .readiness import Readiness, told
from .reads import shedding
from .receiving import Receiver
from .scaling import ScalingCall
from .uploads import Uploads
from .watching import Watch

# As the balancer: it forwards heads of up to 16 KiB.
HEAD_BYTES_MAX = 16 * 1024
# Of a body that comes before it was decided upon, about a read more than twice this is taken in (with copies).
EARLY_BYTES = 1024
# How a balancer's check names itself: then a name of its own, by which its word on the time is told from others'.
BALANCER = "snapsurge-lb"
ASKER_CHARS_MAX = 64


class Node:
    """The application of one node, and what its process must know of it."""

    def __init__(self, app: web.Application, lifecycle: Lifecycle, redis: Redis) -> None:
        self.app = app
        self.lifecycle = lifecycle
        self.redis = redis


@asynccontextmanager
async def node(config: Config, storage: StorageConfig) -> AsyncIterator[Node]:
    """A node with its store and Redis open; StoreUnavailable when there is no store to serve from."""
    redis = redis_client(storage)
    shards = queue_clients(storage) if storage.queue_urls else {"": redis}
    try:
        async with blob_store(storage) as store:
            index, rate = Index(redis), Rate(config.user_uploads_burst, config.user_uploads_period_s)
            readiness = Readiness(time.perf_counter(), room_bytes=config.body_bytes_max)
            async with (
                Watch(readiness, store, redis),
                Announcer(redis, index, shards, linger_s=config.batch_linger_s) as announcer,
                RateLimiter(redis, rate, linger_s=config.batch_linger_s) as limiter,
            ):
                asked = Asked(register_s=config.register_s, restart_s=config.restart_s)
                lifecycle = Lifecycle(asked, readiness)
                app = application(config, lifecycle, store, redis, index, limiter, announcer)
                yield Node(app, lifecycle, redis)
    finally:
        for client in (redis, *shards.values()):
            await client.aclose()


def server(app: web.Application, config: Config) -> web.AppRunner:
    """The HTTP server around an application, not yet set up."""
    return web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,
        handle_signals=False,
        keepalive_timeout=config.keepalive_s,
        max_field_size=HEAD_BYTES_MAX,
        max_line_size=HEAD_BYTES_MAX,
        read_bufsize=EARLY_BYTES,
        shutdown_timeout=config.drain_s,
    )


def budget(config: Config) -> Budget:
    """What may be in flight, by the settings or, in bytes, by this machine."""
    size = config.in_flight_bytes_max or found_bytes(least=config.body_bytes_max)
    return Budget(requests_max=config.in_flight_requests_max, bytes_max=size, reads_max=config.reads_max)


def application(
    config: Config,
    lifecycle: Lifecycle,
    store: BlobStore,
    redis: Redis,
    index: Index,
    limiter: RateLimiter,
    announcer: Announcer,
) -> web.Application:
    """The router over the table of calls."""
    moments = Moments(store, index)
    posts = Posts(store, index)
    authenticator = Authenticator(config.auth_secret, config.auth_secret_previous)
    admission = Admission(budget(config), Commits())
    gate = Gate(admission.commits, wait_s_max=config.commit_wait_s, readiness=lifecycle.readiness)
    metrics, trusted = Metrics(admission), networks(config.trusted_peers)
    receiver = Receiver(config, metrics)
    uploads = Uploads(authenticator, limiter, admission, gate, receiver, store, moments, posts, announcer, metrics)
    moment_calls, docs = MomentCalls(authenticator, moments, posts), Docs()
    post_calls = PostCalls(authenticator, posts, announcer.queue)

    handlers: dict[str, Handler] = {
        "create_moment": moment_calls.create,
        "current_moment": moment_calls.current,
        "moment": moment_calls.get,
        "summary": moment_calls.summary,
        "moment_posts": shedding(moment_calls.posts, admission),
        "upload": uploads.post,
        "post": shedding(post_calls.get, admission),
        "delete_post": post_calls.delete,
        "photo": shedding(post_calls.photo, admission),
        "scaling": ScalingCall(authenticator, redis).get,
        "openapi": docs.openapi,
        "docs": docs.docs,
        **_probes(lifecycle, metrics, trusted),
    }
    app = web.Application(middlewares=[answering(lifecycle, metrics, trusted)])
    for call in CALLS:
        # The upload answers `Expect: 100-continue` itself, after it has decided; aiohttp would at once.
        expect = _say_nothing if call.body == "pair" else None
        app.router.add_route(call.method, call.path, handlers[call.name], name=call.name, expect_handler=expect)
    app.router.add_get("/docs/start.js", docs.start)
    app.router.add_get("/docs/{name}", docs.file)
    return app


def _probes(lifecycle: Lifecycle, metrics: Metrics, trusted: Networks) -> dict[str, Handler]:
    """What orchestrators, balancers and Prometheus ask for."""

    async def livez(_request: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def readyz(request: web.Request) -> web.Response:
        asker = request.headers.get("User-Agent", "")
        if asker.startswith(BALANCER):
            lifecycle.asked.by_balancer()
            stamp = stamp_of(request, trusted)
            if stamp is not None and lifecycle.readiness:
                lifecycle.readiness.stamped(asker[:ASKER_CHARS_MAX], time.time() - stamp, time.perf_counter())
        if lifecycle.draining:
            return web.Response(text="draining\n", status=503)
        if reasons := lifecycle.not_ready():
            return web.Response(text=f"not ready: {told(reasons)}\n", status=503)
        return web.Response(text="ready\n")

    async def scrape(_request: web.Request) -> web.Response:
        body = prometheus_client.generate_latest(metrics.registry)
        return web.Response(body=body, headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST})

    return {"livez": livez, "readyz": readyz, "metrics": scrape}


async def _say_nothing(_request: web.Request) -> None:
    """No interim answer yet."""
