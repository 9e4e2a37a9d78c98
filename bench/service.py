"""The service as operators see it over HTTP: open a moment, list, read and delete its posts. It checks nothing."""

import contextlib
import datetime as dt
from collections.abc import Sequence
from typing import Any, Final, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec

from .client import token
from .clock import Clock
from .config import Config
from .errors import BenchError

T = TypeVar("T")

# On each target in turn: a replay may run while balancers and nodes are being killed, and such a kill must not make the
# check itself fail.
TRIES_MAX: Final = 8
PAUSE_S: Final = 0.5
READ_TIMEOUT: Final = aiohttp.ClientTimeout(total=30)
PAGE: Final = 500
OPS_USER: Final = "bench-ops"


class ServiceError(BenchError):
    """The service did not answer as the API contract says; the text names the call and the status."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class Moment(msgspec.Struct, frozen=True):
    """One moment of the service; its times are RFC 3339 in the JSON."""

    id: str
    fires_at: dt.datetime
    closes_at: dt.datetime
    window_s: float


class Photo(msgspec.Struct, frozen=True):
    """Digest and size of a photo as the node received it."""

    sha256: str | None = None
    bytes: int | None = None


class Photos(msgspec.Struct, frozen=True):
    """Both photos of a post; None where the record lacks one."""

    front: Photo | None = None
    back: Photo | None = None


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """A post as the service shows it. Unknown fields are ignored; the check reports fields that are missing."""

    id: str
    user_id: str
    received_at: dt.datetime
    state: str
    late: bool | None = None
    late_by_ms: int | None = None
    photos: Photos = Photos()
    complete: bool = True

    @property
    def settled(self) -> bool:
        """Whether the post is rendered or rejected, and flagged: no job will change it any more."""
        return self.state in {"ready", "rejected"} and self.late is not None


class Summary(msgspec.Struct, frozen=True):
    """How many posts of a moment are accepted, ready and rejected."""

    accepted: int = 0
    ready: int = 0
    rejected: int = 0


class Scaling(msgspec.Struct, frozen=True):
    """The autoscaler's decision: workers desired and running, jobs ready, and the oldest ready job's age in seconds."""

    desired: int
    workers: int
    ready: int
    oldest_s: float


class _Page(msgspec.Struct):
    posts: list[Post]
    next: str | None = None


def milliseconds(moment: dt.datetime) -> int:
    """Unix milliseconds of a time with a zone."""
    return round(moment.timestamp() * 1000)


def stamp(moment: dt.datetime) -> str:
    """RFC 3339 in UTC with milliseconds, as the service writes it."""
    return moment.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Service:
    """A client of the service that calls it with an ops token."""

    def __init__(self, session: aiohttp.ClientSession, targets: Sequence[str], config: Config, clock: Clock) -> None:
        self._session, self._targets, self._config, self._clock = session, targets, config, clock

    async def open_moment(self, region: str, fires_at: float, window_s: int) -> Moment:
        """Create a moment that fires at the Unix second `fires_at`."""
        when = dt.datetime.fromtimestamp(fires_at, dt.UTC)
        body = {"region": region, "fires_at": stamp(when), "window_s": window_s}
        return _decoded(await self._call("POST", "/v1/moments", body), Moment, "/v1/moments")

    async def summary(self, moment_id: str) -> Summary:
        """How many posts of the moment are accepted, ready and rejected."""
        path = f"/v1/moments/{moment_id}/summary"
        return _decoded(await self._call("GET", path), Summary, path)

    async def posts(self, moment_id: str) -> list[Post]:
        """Every listed post of the moment, from all pages."""
        found: list[Post] = []
        cursor: str | None = ""
        while cursor is not None:
            path = f"/v1/moments/{moment_id}/posts?limit={PAGE}"
            path += f"&cursor={quote(cursor, safe='')}" if cursor else ""
            page = _decoded(await self._call("GET", path), _Page, path)
            found += page.posts
            cursor = page.next
        return found

    async def post(self, post_id: str) -> Post | None:
        """One post; None after a 404."""
        path = f"/v1/posts/{post_id}"
        try:
            return _decoded(await self._call("GET", path), Post, path)
        except ServiceError as error:
            if error.status == 404:
                return None
            raise

    async def delete(self, post_id: str) -> None:
        """Delete a post; one that does not exist is as good as deleted."""
        try:
            await self._call("DELETE", f"/v1/posts/{post_id}")
        except ServiceError as error:
            if error.status != 404:
                raise

    async def rendition(self, post_id: str, name: str) -> bytes:
        """The bytes of a rendition, `name` being `front/thumb`, `composite/feed` and so on."""
        return await self._call("GET", f"/v1/posts/{post_id}/photos/{name}")

    async def scaling(self) -> Scaling | None:
        """The autoscaler's current decision, None when it is unknown. One try only: a second later it is outdated."""
        with contextlib.suppress(ServiceError):
            return _decoded(await self._call("GET", "/v1/scaling", tries=1), Scaling, "/v1/scaling")
        return None

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None, tries: int = TRIES_MAX) -> bytes:
        """The body of a 2xx answer; ServiceError after a 4xx, or when all tries ended in 5xx, 429 or no answer."""
        bearer = token(self._config.auth_secret, OPS_USER, "ops", self._clock.now())
        said, status = "no answer", 0
        for attempt in range(tries):
            if attempt:
                await self._clock.sleep(PAUSE_S)
            url = self._targets[attempt % len(self._targets)] + path
            try:
                async with self._session.request(
                    method, url, json=body, headers={"Authorization": f"Bearer {bearer}"}, timeout=READ_TIMEOUT
                ) as response:
                    answer, status = await response.read(), response.status
            except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
                raise ServiceError(f"{url} is no URL; say http://HOST:PORT", 0) from error
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                said, status = str(error) or type(error).__name__, 0
                continue
            if status < 300:
                return answer
            said = f"{status} {answer[:300].decode(errors='replace')}"
            # Another try would be refused the same way.
            if status < 500 and status != 429:
                break
        raise ServiceError(f"{method} {path}: {said}", status)


def _decoded(body: bytes, kind: type[T], path: str) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise ServiceError(f"{path}: not what the contract says: {error}") from error
