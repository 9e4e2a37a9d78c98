"""The HTTP calls about moments: create, current, one by id, its counts, its account and its posts."""

import time

import msgspec
from aiohttp import web

from storage.accounting import Accounts
from storage.moments import Moments, NoSuchMoment
from storage.posts import Posts
from storage.records import Moment, to_ms

from .errors import Refusal
from .links import Links
from .views import PAGE_POSTS, PAGE_POSTS_MAX, MomentRequest, PostPage, json_answer, post_view

# Ids and keys have room for a year of four digits, also in times derived from this one.
FIRES_MS_MIN, FIRES_MS_MAX = to_ms("2000-01-01T00:00:00Z"), to_ms("2100-01-01T00:00:00Z")
BODY_BYTES_MAX = 4096


class MomentCalls:
    """The calls under `/v1/moments`, except the upload."""

    def __init__(self, moments: Moments, posts: Posts, links: Links, accounts: Accounts) -> None:
        self._accounts = accounts
        self._moments = moments
        self._posts = posts
        self._links = links

    async def create(self, request: web.Request) -> web.Response:
        """Create a moment: 201."""
        wanted = await _asked(request)
        fires_at_ms = time.time_ns() // 1_000_000
        if wanted.fires_at is not None:
            try:
                fires_at_ms = to_ms(wanted.fires_at)
            except (ValueError, OverflowError) as error:
                raise Refusal("bad-request", f"fires_at: {error}") from None
            if not FIRES_MS_MIN <= fires_at_ms < FIRES_MS_MAX:
                raise Refusal("bad-request", "fires_at: a time of this century")
        moment = await self._moments.create(wanted.region, fires_at_ms, wanted.window_s)
        return json_answer(moment, 201, Location=f"/v1/moments/{moment.id}")

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
        limit = request.query.get("limit", str(PAGE_POSTS))
        if not (limit.isascii() and limit.isdigit() and len(limit) <= 4 and 1 <= int(limit) <= PAGE_POSTS_MAX):
            raise Refusal("bad-request", f"limit: 1 to {PAGE_POSTS_MAX}")
        try:
            posts, cursor = await self._posts.page(moment.id, request.query.get("cursor"), int(limit))
        except ValueError as error:
            raise Refusal("bad-request", f"cursor: {error}") from None
        sign = self._links.signer(time.time())
        return json_answer(PostPage([post_view(post, sign) for post in posts], cursor))

    async def _moment(self, request: web.Request) -> Moment:
        moment_id = request.match_info["moment_id"]
        try:
            return await self._moments.get(moment_id)
        except NoSuchMoment:
            raise Refusal("no-such-moment", f"no moment {moment_id[:100]}") from None


async def _asked(request: web.Request) -> MomentRequest:
    body = bytearray()
    while chunk := await request.content.readany():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise Refusal("too-large", f"the body may have {BODY_BYTES_MAX} bytes", stored=False)
    try:
        return msgspec.json.decode(body, type=MomentRequest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal("bad-request", f"send a JSON object: {error}", stored=False) from None
