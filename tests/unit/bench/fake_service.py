"""An in-memory service that keeps the HTTP contract, with faults to switch on: the other side of every bench test."""

import datetime as dt
import hashlib
import io
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

import jwt
from aiohttp import web
from aiohttp.test_utils import TestServer
from PIL import Image

from bench.clock import SystemClock
from bench.config import DEVELOPMENT_SECRET, Config
from bench.photos import exif as phone_exif
from ingest.body.buffers import Buffer
from ingest.body.multipart import MultipartReader, boundary_of

QUICK = Config(
    lead_s=0.05, backoff_floor_s=0.0, backoff_max_s=0.001, answer_timeout_s=20, ready_timeout_s=0, lag_p99_max_ms=60_000
)


class FakeClock:
    """Time that passes only by sleeping; remembers each sleep."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.time = now
        self.slept: list[float] = []

    def now(self) -> float:
        """Unix seconds."""
        return self.time

    async def sleep(self, seconds: float) -> None:
        """Let that much time pass at once."""
        self.slept.append(seconds)
        self.time += max(0.0, seconds)


class MiddleRng:
    """Jitter without chance: always the upper end."""

    def uniform(self, a: float, b: float) -> float:
        """The upper end."""
        return b


@dataclass
class Faults:
    """What goes wrong; numbers are how many requests or posts it befalls."""

    shed: int = 0
    limit: int = 0
    close_before_storing: int = 0
    close_after_storing: int = 0
    refuse: int = 0
    crash: int = 0
    drop: int = 0
    halve: int = 0
    double: int = 0
    corrupt: int = 0
    flip_late: int = 0
    shift_received_ms: int = 0
    reject: int = 0
    never_ready: bool = False
    keep_exif: bool = False
    no_summary: bool = False
    no_posts: bool = False
    no_scaler: bool = False
    undeletable: str = ""
    undead: str = ""
    away: int = 0
    page: int = 3


def iso(unix: float) -> str:
    """RFC 3339 with milliseconds."""
    return dt.datetime.fromtimestamp(round(unix, 3), dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class FakeService:
    """Moments and posts in dicts; posts are ready as soon as they are stored."""

    faults: Faults = field(default_factory=Faults)
    now: Callable[[], float] = field(default_factory=lambda: SystemClock().now)
    moments: dict[str, dict[str, Any]] = field(default_factory=dict)
    posts: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    first: dict[str, float] = field(default_factory=dict)

    def server(self) -> AbstractAsyncContextManager[TestServer]:
        """A server on a free loopback port, to be entered."""
        app = web.Application(client_max_size=50_000_000)
        app.router.add_post("/v1/moments", self.open)
        app.router.add_post("/v1/moments/{moment}/posts", self.accept)
        app.router.add_get("/v1/moments/{moment}/posts", self.list)
        app.router.add_get("/v1/moments/{moment}/summary", self.summary)
        app.router.add_get("/v1/scaling", self.scaling)
        app.router.add_get("/v1/posts/{post}", self.show)
        app.router.add_delete("/v1/posts/{post}", self.delete)
        app.router.add_get("/v1/posts/{post}/photos/{photo}/{size}", self.rendition)
        return TestServer(app)

    def claims(self, request: web.Request) -> dict[str, Any]:
        """Who asks; the request is remembered."""
        self.requests.append((request.method, request.path, dict(request.headers)))
        bearer, timeless = request.headers["Authorization"].split()[1], {"verify_exp": False, "verify_iat": False}
        return jwt.decode(bearer, DEVELOPMENT_SECRET, algorithms=["HS256"], options=timeless)

    def due(self, name: str) -> bool:
        """Whether this fault befalls this request."""
        left = getattr(self.faults, name)
        setattr(self.faults, name, max(0, left - 1))
        return left > 0

    async def open(self, request: web.Request) -> web.Response:
        """POST /v1/moments."""
        assert self.claims(request)["scope"] == "ops"
        asked = await request.json()
        fires_at = dt.datetime.fromisoformat(asked["fires_at"]).timestamp()
        moment = {
            "id": f"moment-{len(self.moments)}",
            "region": asked["region"],
            "fires_at": iso(fires_at),
            "closes_at": iso(fires_at + asked["window_s"]),
            "window_s": asked["window_s"],
        }
        self.moments[moment["id"]] = moment
        return web.json_response(moment, status=201)

    async def accept(self, request: web.Request) -> web.Response:
        """POST of a pair."""
        received_at = self.now()
        claims = self.claims(request)
        assert claims["scope"] == "upload"
        if "Snapsurge-Ticket" in request.headers:
            received_at = self.first[claims["sub"]]
        if self.due("shed"):
            self.first[claims["sub"]] = received_at
            ticket = f"ticket-{len(self.requests)}"
            return web.json_response({}, status=503, headers={"Retry-After": "0", "Snapsurge-Ticket": ticket})
        if self.due("limit"):
            return web.json_response({}, status=429, headers={"Retry-After": "2"})
        if self.due("crash"):
            return web.json_response({}, status=500)
        if self.due("refuse"):
            return web.json_response({"code": "forbidden"}, status=403)
        photos = await pair_in(request)
        if self.due("close_before_storing"):
            return self.hang_up(request)
        post_id = hashlib.blake2b(f"{request.match_info['moment']} {claims['sub']}".encode()).hexdigest()[:26]
        known = self.posts.get(post_id)
        if known:
            return web.json_response(known, headers={"Idempotent-Replayed": "true"})
        post = self.store(post_id, request.match_info["moment"], claims["sub"], photos, received_at)
        if self.due("close_after_storing"):
            return self.hang_up(request)
        return web.json_response(post, status=201)

    def store(
        self, post_id: str, moment_id: str, user: str, photos: dict[str, bytes], received_at: float
    ) -> dict[str, Any]:
        """Keep a post as the faults leave it."""
        received_at = round(received_at + self.faults.shift_received_ms / 1000, 3)
        closes_at = dt.datetime.fromisoformat(self.moments[moment_id]["closes_at"]).timestamp()
        late_by_ms = round((received_at - closes_at) * 1000)
        state = "rejected" if self.due("reject") else "ready"
        known = {name: {"sha256": hashlib.sha256(photo).hexdigest()} for name, photo in photos.items()}
        post = {
            "id": post_id,
            "moment_id": moment_id,
            "user_id": user,
            "received_at": iso(received_at),
            "state": "accepted" if self.faults.never_ready else state,
            "late": None if self.faults.never_ready else (late_by_ms > 0) != self.due("flip_late"),
            "late_by_ms": None if self.faults.never_ready else late_by_ms,
            "photos": known,
        }
        if self.due("halve"):
            del known["back"]
        if self.due("corrupt"):
            known["front"] = {"sha256": "0" * 64}
        if self.due("drop"):
            return post
        self.posts[post_id] = post
        if self.due("double"):
            self.posts[post_id + "x"] = post | {"id": post_id + "x"}
        return post

    def hang_up(self, request: web.Request) -> web.Response:
        """Close the connection without an answer."""
        assert request.transport
        request.transport.close()
        return web.Response()

    async def list(self, request: web.Request) -> web.Response:
        """A page of the moment's posts."""
        assert self.claims(request)["scope"] == "ops"
        if self.faults.no_posts:
            return web.json_response({}, status=404)
        found = [post for post in self.posts.values() if post["moment_id"] == request.match_info["moment"]]
        at = int(request.query.get("cursor", "0"))
        rest = str(at + self.faults.page) if at + self.faults.page < len(found) else None
        return web.json_response({"posts": found[at : at + self.faults.page], "next": rest})

    async def summary(self, request: web.Request) -> web.Response:
        """The counts."""
        assert self.claims(request)["scope"] == "ops"
        if self.faults.no_summary:
            return web.json_response({}, status=404)
        ready = sum(post["state"] == "ready" for post in self.posts.values())
        return web.json_response({"accepted": len(self.posts), "ready": ready, "rejected": 0})

    async def scaling(self, request: web.Request) -> web.Response:
        """Two workers, three wanted."""
        assert self.claims(request)["scope"] == "ops"
        if self.faults.no_scaler:
            return web.json_response({"code": "scaling-unavailable"}, status=503)
        found = {"desired": 3, "workers": 2, "ready": len(self.posts), "oldest_s": 0.5, "service_s": 0.1}
        return web.json_response(found)

    async def show(self, request: web.Request) -> web.Response:
        """One post."""
        self.claims(request)
        post = self.posts.get(request.match_info["post"])
        return web.json_response(post) if post else web.json_response({"code": "no-such-post"}, status=404)

    async def delete(self, request: web.Request) -> web.Response:
        """Delete one post."""
        assert self.claims(request)["scope"] == "ops"
        post_id = request.match_info["post"]
        if self.due("away"):
            return web.json_response({}, status=503)
        if post_id == self.faults.undeletable:
            return web.json_response({"code": "forbidden"}, status=403)
        if post_id not in self.posts:
            return web.json_response({"code": "no-such-post"}, status=404)
        if post_id != self.faults.undead:
            del self.posts[post_id]
        return web.Response(status=204)

    async def rendition(self, request: web.Request) -> web.Response:
        """One picture, the same for all."""
        self.claims(request)
        if request.match_info["post"] not in self.posts:
            return web.json_response({"code": "no-such-post"}, status=404)
        return web.Response(body=tiny_jpeg(with_exif=self.faults.keep_exif), content_type="image/jpeg")


async def pair_in(request: web.Request) -> dict[str, bytes]:
    """The photos by side."""
    body = await request.read()
    boundary = boundary_of(request.headers["Content-Type"])
    reader = MultipartReader(boundary, dict.fromkeys(("front", "back", "meta"), len(body)), Buffer(len(body)))
    reader.feed(body)
    return {name: bytes(reader.data(part)) for name, part in reader.finish().items()}


def tiny_jpeg(*, with_exif: bool = False, side: int = 24) -> bytes:
    """A small picture."""
    import numpy as np  # noqa: PLC0415 -- only for the generator that the phone's EXIF asks for

    buffer = io.BytesIO()
    tags = phone_exif(np.random.default_rng(1), 1) if with_exif else None
    Image.new("RGB", (side, side), (90, 120, 150)).save(buffer, "JPEG", exif=tags or b"")
    return buffer.getvalue()
