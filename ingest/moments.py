"""The HTTP calls about moments: create, change, cancel, list, current, one by id, its counts, account and posts."""

import random
import time
from typing import TypeVar

import msgspec
from aiohttp import web
from redis.exceptions import RedisError

from storage import keys
from storage.account_objects import Accounts
from storage.moments import Moments, NoSuchMoment
from storage.posts import Posts
from storage.records import Moment, to_ms
from storage.rescheduling import MomentFired, Rescheduling

from .errors import Refusal
from .links import Links
from .returns import when_away_s
from .views import (
    PAGE_POSTS,
    PAGE_POSTS_MAX,
    MomentChange,
    MomentPage,
    MomentRequest,
    PostPage,
    json_answer,
    post_view,
)

# Ids and keys have room for a year of four digits, also in times derived from this one.
FIRES_MS_MIN, FIRES_MS_MAX = to_ms("2000-01-01T00:00:00Z"), to_ms("2100-01-01T00:00:00Z")
BODY_BYTES_MAX = 4096
# Query parameters of a time range, and what they are if not given.
_RANGE = {"from": FIRES_MS_MIN, "to": FIRES_MS_MAX}

T = TypeVar("T")


class MomentCalls:
    """The calls under `/v1/moments`, except the upload."""

    def __init__(self, moments: Moments, changes: Rescheduling, posts: Posts, links: Links, accounts: Accounts) -> None:
        self._accounts = accounts
        self._moments = moments
        self._changes = changes
        self._posts = posts
        self._links = links

    async def create(self, request: web.Request) -> web.Response:
        """Create a moment: 201."""
        wanted = await _asked(request, MomentRequest)
        fires_at_ms = time.time_ns() // 1_000_000 if wanted.fires_at is None else _time("fires_at", wanted.fires_at)
        moment = await self._moments.create(wanted.region, fires_at_ms, wanted.window_s)
        return json_answer(moment, 201, Location=f"/v1/moments/{moment.id}")

    async def change(self, request: web.Request) -> web.Response:
        """Change a moment that has not fired: 200 with the moment as it is now. May be repeated."""
        wanted = await _asked(request, MomentChange)
        if wanted.fires_at is None and wanted.window_s is None:
            raise Refusal("bad-request", "name what to change: fires_at, window_s or both")
        fires_at_ms = None if wanted.fires_at is None else _time("fires_at", wanted.fires_at)
        return json_answer(await self._changed(request, fires_at_ms=fires_at_ms, window_s=wanted.window_s))

    async def cancel(self, request: web.Request) -> web.Response:
        """Cancel a moment that has not fired: 204. May be repeated."""
        await self._changed(request, cancelled=True)
        return web.Response(status=204)

    async def _changed(
        self,
        request: web.Request,
        *,
        fires_at_ms: int | None = None,
        window_s: int | None = None,
        cancelled: bool = False,
    ) -> Moment:
        moment_id = request.match_info["moment_id"]
        try:
            return await self._changes.change(
                moment_id, fires_at_ms=fires_at_ms, window_s=window_s, cancelled=cancelled
            )
        except NoSuchMoment:
            raise _no_such_moment(moment_id) from None
        except MomentFired:
            raise Refusal("moment-fired", "a moment is fixed from two seconds before it fires") from None
        except ValueError as error:
            raise Refusal("bad-request", f"fires_at: {error}") from None
        except RedisError as error:
            wait = {"Retry-After": str(when_away_s(random.random()))}
            detail = (
                "Redis does not answer: the change is stored, but the former moment may still be in use: send it again"
            )
            raise Refusal("storage-unavailable", detail, headers=wait) from error

    async def list(self, request: web.Request) -> web.Response:
        """One page of moments, of a region and a time range where given."""
        query = request.query
        since_ms, until_ms = (_time(name, query[name]) if name in query else at for name, at in _RANGE.items())
        if query.get("region") == "":
            raise Refusal("bad-request", "region: name one, or leave it out")
        cursor, limit = cursor_of(request), limit_of(request)
        found = await self._moments.page(query.get("region"), since_ms, until_ms, cursor, limit)
        return json_answer(MomentPage(*found))

    async def current(self, request: web.Request) -> web.Response:
        """The region's last moment that fired and still accepts posts."""
        region = request.query.get("region", "")
        if not region:
            raise Refusal("bad-request", "name a region: /v1/moments/current?region=…")
        try:
            return json_answer(await self._moments.current(region, time.time_ns() // 1_000_000))
        except NoSuchMoment:
            raise Refusal("no-such-moment", f"no moment of region {region[:100]} accepts posts now") from None

    async def get(self, request: web.Request) -> web.Response:
        """One moment by its id."""
        return json_answer(await self._moment(request))

    async def summary(self, request: web.Request) -> web.Response:
        """The counts of a moment's posts by state."""
        return json_answer(await self._posts.counts((await self._moment(request)).id))

    async def account(self, request: web.Request) -> web.Response:
        """The account of a moment that has settled."""
        moment = await self._moment(request)
        written = await self._accounts.get(moment.id)
        if written is None:
            detail = (
                f"moment {moment.id} has not settled, or no autoscaler runs; ask again a minute after its last render"
            )
            raise Refusal("no-account", detail)
        return json_answer(written.account)

    async def posts(self, request: web.Request) -> web.Response:
        """One page of a moment's posts."""
        moment = await self._moment(request)
        limit = limit_of(request)
        try:
            posts, cursor = await self._posts.page(moment.id, request.query.get("cursor"), limit)
        except ValueError as error:
            raise Refusal("bad-request", f"cursor: {error}") from None
        sign = self._links.signer(time.time())
        return json_answer(PostPage([post_view(post, sign) for post in posts], cursor))

    async def _moment(self, request: web.Request) -> Moment:
        moment_id = request.match_info["moment_id"]
        try:
            return await self._moments.get(moment_id)
        except NoSuchMoment:
            raise _no_such_moment(moment_id) from None


def limit_of(request: web.Request) -> int:
    """The query parameter `limit`; Refusal unless it is a number within the limits of a page."""
    limit = request.query.get("limit", str(PAGE_POSTS))
    if not (limit.isascii() and limit.isdigit() and len(limit) <= 4 and 1 <= int(limit) <= PAGE_POSTS_MAX):
        raise Refusal("bad-request", f"limit: 1 to {PAGE_POSTS_MAX}")
    return int(limit)


def cursor_of(request: web.Request) -> str:
    """The query parameter `cursor`, a moment id; empty where there is none. Refusal for any other."""
    if "cursor" not in request.query:
        return ""
    if not keys.is_moment_id(request.query["cursor"]):
        raise Refusal("bad-request", "cursor: use the `next` value of an earlier page")
    return request.query["cursor"]


def _no_such_moment(moment_id: str) -> Refusal:
    return Refusal("no-such-moment", f"no moment {moment_id[:100]}")


def _time(name: str, text: str) -> int:
    """A time of this century in unix ms; Refusal."""
    try:
        at_ms = to_ms(text)
    except (ValueError, OverflowError) as error:
        raise Refusal("bad-request", f"{name}: {error}") from None
    if not FIRES_MS_MIN <= at_ms < FIRES_MS_MAX:
        raise Refusal("bad-request", f"{name}: must be in the years 2000 to 2099")
    return at_ms


async def _asked(request: web.Request, kind: type[T]) -> T:
    body = bytearray()
    while chunk := await request.content.readany():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise Refusal("too-large", f"the body may have {BODY_BYTES_MAX} bytes", stored=False)
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal("bad-request", f"send a JSON object: {error}", stored=False) from None
