"""Composition: builds one node from its parts, closes it, and maps the table of calls to handlers."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from redis.asyncio import Redis

from storage.account_objects import Accounts
from storage.blobs import BlobStore
from storage.config import Config as StorageConfig
from storage.moments import Moments
from storage.opening import blob_store, redis_client, shard_clients
from storage.posts import Posts
from storage.rescheduling import Rescheduling
from storage.sharded_index import ShardedIndex
from storage.users import Users

from .about import about_page, files_needed
from .admission import Admission, Budget
from .announcing import Announcer
from .answering import Handler, Lifecycle, answering
from .asked import Asked
from .auth import Authenticator
from .body.receiving import Receiver
from .commits import Commits
from .config import Config
from .cors import Cors, origins
from .docs import Docs
from .gate import Gate
from .gcra import Rate
from .links import Links
from .memory import found_bytes
from .metrics import Metrics
from .moments import MomentCalls
from .peers import Peers, networks
from .posts import PostCalls
from .ratelimit import RateLimiter
from .read_admission import Kind, Reading, ReadLimits
from .readiness import Readiness, told
from .readiness_checks import Watch
from .reads import Reads
from .resuming.resource_table import Resources
from .resuming.serving import Resuming
from .resuming.tokens import hint_of
from .routing import add_routes
from .scaling import ScalingCall
from .sending import Sender
from .tallying import Tallying
from .uploads import Uploads
from .users import UserCalls
from .waiting import Waiting

# The balancer forwards heads of up to 16 KiB.
HEAD_BYTES_MAX = 16 * 1024
# The longest valid path has 150 characters. aiohttp looks a path up once for each of its slashes, so a head full of
# slashes cost 44 ms. The balancer has the same limit. aiohttp accepts at most 128 header fields.
TARGET_BYTES_MAX = 2048
# aiohttp buffers about one read more than twice this of a body that arrives before the node has decided (with copies).
EARLY_BYTES = 1024
# User-Agent of a balancer's health check, followed by the balancer's own name, which distinguishes the clocks of
# several balancers.
BALANCER = "snapsurge-lb"
ASKER_CHARS_MAX = 64
# Uploads that wait for their clients may hold this part of the upload budget.
PARKED_PART = 4
# Answers may hold this part of the upload budget, in addition to it; at least a hundred renditions on a small machine.
READ_PART, READ_BYTES_MIN = 4, 32 * 1024 * 1024
# A reader that takes nothing may come back for the picture; an upload has its whole body to lose.
READ_GRACE_S = 20.0


class Node:
    """One node: its application, and the parts that its process uses directly."""

    def __init__(self, app: web.Application, lifecycle: Lifecycle, redis: Redis, resources: Resources) -> None:
        self.app = app
        self.lifecycle = lifecycle
        self.redis = redis
        self.resources = resources


@asynccontextmanager
async def node(config: Config, storage: StorageConfig, name: str = "") -> AsyncIterator[Node]:
    """A node of this name with its store and Redis open; StoreUnavailable when the store cannot be opened."""
    redis = redis_client(storage)
    shards = shard_clients(storage, redis)
    try:
        async with blob_store(storage, examines=True) as store:
            index, rate = ShardedIndex(redis, shards), Rate(config.user_uploads_burst, config.user_uploads_period_s)
            readiness = Readiness(time.perf_counter(), room_bytes=config.body_bytes_max)
            lifecycle = Lifecycle(Asked(register_s=config.register_s, restart_s=config.restart_s), readiness)
            async with (
                Watch(readiness, store),
                Announcer(index, shards, linger_s=config.batch_linger_s) as announcer,
                RateLimiter(shards, rate, linger_s=config.batch_linger_s) as limiter,
                Waiting(index, lambda: lifecycle.draining) as waiting,
                Tallying(redis, name) as tallying,
            ):
                app, resources = application(
                    config, storage, lifecycle, store, redis, index, limiter, announcer, waiting, tallying, name
                )
                yield Node(app, lifecycle, redis, resources)
    finally:
        for client in (redis, *shards.values()):
            await client.aclose()


def server(app: web.Application, config: Config) -> web.AppRunner:
    """The HTTP server for an application, not yet set up."""
    return web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,
        handle_signals=False,
        keepalive_timeout=config.keepalive_s,
        max_field_size=HEAD_BYTES_MAX,
        max_line_size=TARGET_BYTES_MAX,
        read_bufsize=EARLY_BYTES,
        shutdown_timeout=config.drain_s,
    )


def budget(config: Config) -> Budget:
    """The limits on uploads in flight, from the settings; the bytes from this machine's memory if not set."""
    size = config.in_flight_bytes_max or found_bytes(least=config.body_bytes_max)
    parked = config.parked_bytes_max or size // PARKED_PART
    return Budget(requests_max=config.in_flight_requests_max, bytes_max=size, parked_bytes_max=parked)


def read_limits(config: Config, uploads: Budget) -> ReadLimits:
    """The limits on reads in progress; their bytes are a part of the upload budget, in addition to it."""
    return ReadLimits(reads_max=config.reads_max, bytes_max=max(READ_BYTES_MIN, uploads.bytes_max // READ_PART))


def application(
    config: Config,
    storage: StorageConfig,
    lifecycle: Lifecycle,
    store: BlobStore,
    redis: Redis,
    index: ShardedIndex,
    limiter: RateLimiter,
    announcer: Announcer,
    waiting: Waiting,
    tallying: Tallying,
    name: str = "",
) -> tuple[web.Application, Resources]:
    """The web application, the table of calls with its handlers inside the middleware; and its resumable uploads."""
    moments, posts = Moments(store, index), Posts(store, index)
    authenticator = Authenticator(config.auth_secret, config.auth_secret_previous)
    admission = Admission(budget(config), Commits())
    gate = Gate(admission.commits, wait_s_max=config.commit_wait_s, readiness=lifecycle.readiness)
    metrics = Metrics(admission, lifecycle, files_needed(config, storage))
    reading, links = Reading(read_limits(config, admission.budget)), Links(config.link_secrets, config.link_s)
    peers = Peers(networks(config.trusted_peers), config.stamp_secrets, ignored=metrics.disbelieved.inc)
    receiver, reads = Receiver(config, metrics, admission), Reads(reading, admission, peers)
    metrics.waiters.set_function(lambda: reading.count(Kind.WAIT))
    uploads = Uploads(
        limiter, admission, gate, receiver, store, moments, posts, announcer, metrics, links, tallying, name
    )
    resources, resuming = _resuming(config, uploads, receiver, admission, metrics, name)
    moment_calls = MomentCalls(moments, Rescheduling(store, index, moments), posts, links, Accounts(store))
    users = _user_calls(config, Users(store, index, moments, posts, announcer.queue), links)
    post_calls = PostCalls(posts, announcer.queue, reads, waiting, links)

    handlers: dict[str, Handler] = {
        **_uploads(resuming),
        **_posts(post_calls, reads),
        "scaling": ScalingCall(redis).get,
        "about": reads.by_address(about_page(config, storage), Kind.SCRAPE),
        "metrics": reads.by_address(metrics.scrape, Kind.SCRAPE),
        **_users(users, reads),
        **_moments(moment_calls, reads),
        **_pages(Docs(config), reads),
        **_probes(lifecycle, peers),
    }
    pages, grace_s = Cors(origins(config.cors_origins)), min(config.body_grace_s, READ_GRACE_S)
    sender = Sender(reading, metrics, rate_bytes_s=config.body_rate_min_bytes_s, grace_s=grace_s)
    app = web.Application(middlewares=[answering(lifecycle, metrics, peers, sender, pages, resuming.offers)])
    add_routes(app, handlers, authenticator, links)
    return app, resources


def _resuming(
    config: Config,
    uploads: Uploads,
    receiver: Receiver,
    admission: Admission,
    metrics: Metrics,
    name: str,
) -> tuple[Resources, Resuming]:
    """The uploads that can be resumed, and their calls."""
    loop = asyncio.get_running_loop()
    resources = Resources(
        *(admission, metrics, loop, uploads.ended),
        hint=hint_of(name),
        idle_s=config.resume_idle_s,
        age_s=config.resume_age_s,
    )
    return resources, Resuming(uploads, resources, receiver, admission, metrics, loop, config)


def _uploads(calls: Resuming) -> dict[str, Handler]:
    """The handlers of uploads, ordinary and resumable ones."""
    return {
        "upload": calls.create,
        "upload_offset": calls.offset,
        "append_upload": calls.append,
        "cancel_upload": calls.cancel,
    }


def _posts(calls: PostCalls, reads: Reads) -> dict[str, Handler]:
    """The handlers of calls about one post."""
    return {
        "post": reads.by_user(calls.get),
        "post_meta": reads.by_user(calls.meta),
        "post_history": reads.by_user(calls.history),
        "delete_post": reads.by_user(calls.delete),
        "photo": reads.by_user(calls.photo),
    }


def _user_calls(config: Config, users: Users, links: Links) -> UserCalls:
    grace_s = min(config.body_grace_s, READ_GRACE_S)
    return UserCalls(users, links, rate_bytes_s=config.body_rate_min_bytes_s, grace_s=grace_s)


def _users(calls: UserCalls, reads: Reads) -> dict[str, Handler]:
    """The handlers of calls about a person's data."""
    return {
        "user_posts": reads.by_user(calls.posts),
        "erase_user": reads.by_user(calls.erase),
        "user_export": reads.by_user(calls.export),
    }


def _moments(calls: MomentCalls, reads: Reads) -> dict[str, Handler]:
    """The handlers of calls about moments, except the upload."""
    return {
        "create_moment": calls.create,
        "moments": reads.by_user(calls.list),
        "change_moment": calls.change,
        "cancel_moment": calls.cancel,
        "current_moment": calls.current,
        "moment": calls.get,
        "summary": calls.summary,
        "account": calls.account,
        "moment_posts": reads.by_user(calls.posts),
    }


def _pages(docs: Docs, reads: Reads) -> dict[str, Handler]:
    """The handlers of the documentation."""
    return {
        "openapi": reads.by_address(docs.openapi, Kind.PAGE),
        "docs": reads.by_address(docs.docs, Kind.PAGE),
        "docs_start": reads.by_address(docs.start, Kind.PAGE),
        "docs_file": reads.by_address(docs.file, Kind.PAGE),
    }


def _probes(lifecycle: Lifecycle, peers: Peers) -> dict[str, Handler]:
    """The handlers of `/livez` and `/readyz`, for orchestrators and balancers."""

    async def livez(_request: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def readyz(request: web.Request) -> web.Response:
        asker = request.headers.get("User-Agent", "")
        if asker.startswith(BALANCER):
            lifecycle.asked.by_balancer()
            sent_at = peers.sent_at(request)
            if sent_at is not None and lifecycle.readiness:
                lifecycle.readiness.compared(asker[:ASKER_CHARS_MAX], time.time() - sent_at, time.perf_counter())
        if lifecycle.draining:
            return web.Response(text="draining\n", status=503)
        if reasons := lifecycle.not_ready():
            return web.Response(text=f"not ready: {told(reasons)}\n", status=503)
        return web.Response(text="ready\n")

    return {"livez": livez, "readyz": readyz}
