"""The HTTP calls about posts: read one (or wait for it), read its meta and its renditions, delete it.

A rendition is one ranged read of the media object. Its digest is its strong ETag. A complete image is compared with the
digest before it is sent, so that a cached record that is older than the object costs a second read, not a wrong
picture. Before an answer without the complete image (206, 304, HEAD) the store is asked for the current object.

By a signed link (`links.py`) a picture is public: a shared cache may keep it as long as the link is good, which is how
long it may outlive its deletion there. A link is good for the picture that it was made for, and for no later one.
"""

import asyncio
import contextlib
import hashlib
import random
import time
from email.utils import formatdate

from aiohttp import web
from redis.exceptions import RedisError

from storage import keys
from storage.existence import Superseded
from storage.posts import DamagedPost, NoSuchPost, Posts
from storage.queue.jobs import Job
from storage.queue.shards import Shards
from storage.records import Post, Rendition

from .auth import LINK, PRINCIPAL
from .errors import Refusal
from .histories import history
from .links import Link, Links
from .metrics import ROUTE
from .peers import ARRIVAL
from .reads import Reads
from .returns import when_away_s
from .views import json_answer, post_view
from .waiting import WAIT_S_MAX, Waiting

# Cacheable, because a rendition never changes under its ETag; private, because it needs a token. It may be deleted.

# Posts that are read at the same time because a wait ended without a record: a drain ends all waits together.
AFTER_WAITS_MAX = 32


class PostCalls:
    """The calls under `/v1/posts`."""

    def __init__(self, posts: Posts, queue: Shards, reads: Reads, waiting: Waiting, links: Links) -> None:
        self._links = links
        self._reads = reads
        self._posts = posts
        self._queue = queue
        self._waiting = waiting
        self._after_waits = asyncio.Semaphore(AFTER_WAITS_MAX)

    async def get(self, request: web.Request) -> web.Response:
        """One post by its id; with `wait`, when it is pending no more, or after so many seconds."""
        seconds = _wait_s(request.query.get("wait", "0"))
        post = await self._post(request)
        if seconds and post.state == "accepted":
            request[ROUTE] = "post_wait"
            self._reads.wait(request)
            found = await self._waiting.until_settled(post.id, seconds, lambda: request.transport is None)
            if found is None and request.transport is not None:
                async with self._after_waits:
                    found = await self._post(request)
            post = found or post
        return json_answer(post_view(post, self._links.signer(time.time())))

    async def meta(self, request: web.Request) -> web.Response:
        """The `meta` part of the upload, without blanks around it, for its owner alone; JSON null if there was none."""
        post_id = request.match_info["post_id"]
        if not _owns(request, post_id):
            await self._post(request)
            raise Refusal("forbidden", "only its owner may read the meta of a post")
        try:
            meta = await self._posts.meta(post_id)
        except NoSuchPost as error:
            raise _absent(post_id, error) from None
        return web.Response(body=meta, content_type="application/json", headers={"Cache-Control": "private, no-store"})

    async def history(self, request: web.Request) -> web.Response:
        """When each step of a post began and ended."""
        post_id = request.match_info["post_id"]
        try:
            return json_answer(history(*await self._posts.history(post_id)))
        except NoSuchPost as error:
            raise _absent(post_id, error) from None

    async def delete(self, request: web.Request) -> web.Response:
        """Delete a post, for its owner or ops: 204, and no request returns the post any more. May be repeated."""
        post_id = request.match_info["post_id"]
        if request[PRINCIPAL].scope != "ops" and not _owns(request, post_id):
            await self._post(request)
            raise Refusal("forbidden", "only its owner or ops may delete a post")
        try:
            await self._posts.delete(post_id, request[ARRIVAL].attempt)
        except NoSuchPost as error:
            raise _absent(post_id, error) from None
        except Superseded as error:
            raise Refusal("superseded", "the pair was posted after this deletion was sent, and stays") from error
        except RedisError as error:
            wait = {"Retry-After": str(when_away_s(random.random()))}
            detail = "Redis does not answer: the post is deleted, but its record may still be shown: delete it again"
            raise Refusal("storage-unavailable", detail, headers=wait) from error
        return web.Response(status=204)

    async def photo(self, request: web.Request) -> web.Response:
        """A rendition, complete or a byte range."""
        post_id, side, size = (request.match_info[name] for name in ("post_id", "side", "size"))
        name = "composite" if (side, size) == ("composite", "feed") else f"{side}-{size}"
        link = request.get(LINK)
        for _ in range(2):
            post = await self._finished(post_id)
            rendition = post.renditions.get(name)
            if rendition is None and not post.complete and size == "full":
                with contextlib.suppress(RedisError):  # a no-op, unless Redis lost the job
                    await self._queue.enqueue([Job("complete_media", post.moment_id, post.id)])
                detail = f"rendition {name} of post {post_id} is not ready yet; use `feed` until then"
                raise Refusal("no-such-rendition", detail)
            if rendition is None:
                raise Refusal("no-such-post", f"post {post_id} is {post.state} and has no {name}")
            if link is None or rendition.sha256.startswith(link.mark):
                with contextlib.suppress(NoSuchPost):  # deleted since the record was read: the next iteration finds out
                    answer = await self._image(request, post, rendition)
                    if answer is not None:
                        return answer
            self._posts.drop(post_id)
        if link is not None:
            raise Refusal("no-such-post", "the picture of this link is gone; get the post again, its `links` are new")
        raise Refusal("no-such-post", f"post {post_id} was modified during the read; retry")

    async def _image(self, request: web.Request, post: Post, rendition: Rendition) -> web.Response | None:
        """The answer, or None when the stored object does not match the record."""
        etag = f'"{rendition.sha256}"'
        fields = {"ETag": etag, "Accept-Ranges": "bytes", **self._freshness(request.get(LINK))}
        known, with_body = _matches(request.headers.get("If-None-Match"), etag), request.method == "GET"
        # Range is for GET alone (RFC 9110, section 14.2).
        start, stop = _wanted(request, rendition.bytes, etag) if with_body and not known else (0, rendition.bytes)
        mark = ""
        if known or not with_body or stop - start < rendition.bytes:
            mark = await self._posts.shown(post)
            if not mark:
                return None
        if known:
            return web.Response(status=304, headers=fields)
        if not with_body:
            fields["Content-Length"] = str(rendition.bytes)
            return web.Response(headers=fields, content_type="image/jpeg")
        self._reads.hold(request, stop - start)
        data = await self._posts.rendition(post, rendition, start, stop - start, mark)
        if stop - start < rendition.bytes:
            fields["Content-Range"] = f"bytes {start}-{stop - 1}/{rendition.bytes}"
            return web.Response(body=data, status=206, headers=fields, content_type="image/jpeg")
        if hashlib.sha256(data).hexdigest() != rendition.sha256:
            return None
        return web.Response(body=data, headers=fields, content_type="image/jpeg")

    def _freshness(self, link: Link | None) -> dict[str, str]:
        """How long a cache may keep a picture: until its link ends; by token privately, for as long as a link lives.

        Not longer by token either: after a deletion and a new post the same path leads to another picture. Caches that
        send no Age make `max-age` begin anew; they can use `Expires`, which says the same.
        """
        if link is None:
            return {"Cache-Control": f"private, max-age={self._links.life_s}, immutable"}
        return {
            "Cache-Control": f"public, max-age={link.max_age_s(time.time())}, immutable",
            "Expires": formatdate(link.expires_at, usegmt=True),
        }

    async def _post(self, request: web.Request) -> Post:
        post_id = request.match_info["post_id"]
        try:
            return await self._posts.get(post_id)
        except NoSuchPost as error:
            raise _absent(post_id, error) from None

    async def _finished(self, post_id: str) -> Post:
        try:
            return await self._posts.finished(post_id)
        except NoSuchPost as error:
            raise _absent(post_id, error) from None


def _owns(request: web.Request, post_id: str) -> bool:
    """Whether the post is of the token's user: its id follows from moment and user."""
    return keys.is_post_id(post_id) and post_id == keys.post_id(keys.moment_of(post_id), request[PRINCIPAL].user_id)


def _wait_s(text: str) -> int:
    """The seconds of the query parameter `wait`; Refusal unless it is a number within the limit."""
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= WAIT_S_MAX):
        raise Refusal("bad-request", f"wait: 0 to {WAIT_S_MAX} seconds, without a fraction")
    return int(text)


def _absent(post_id: str, error: NoSuchPost) -> Refusal:
    if isinstance(error, DamagedPost):
        return Refusal("pair-damaged", f"the pair of post {post_id} is stored and cannot be read; ops must look at it")
    return Refusal("no-such-post", f"no post {post_id[:150]}")


def _matches(condition: str | None, etag: str) -> bool:
    """Whether If-None-Match matches, by weak comparison (RFC 9110, section 13.1.2)."""
    return condition is not None and any(one.strip().removeprefix("W/") in {etag, "*"} for one in condition.split(","))


def _wanted(request: web.Request, size: int, etag: str) -> tuple[int, int]:
    """The byte range to send; everything if no range is requested or If-Range names another image."""
    if request.headers.get("If-Range", etag) != etag or "Range" not in request.headers:
        return 0, size
    try:
        start, stop, _ = request.http_range.indices(size)
    except ValueError:
        return 0, size  # several ranges, or a malformed one: RFC 9110, section 14.2 allows the whole image
    if start >= stop:
        raise Refusal("bad-range", f"the image has {size} bytes", headers={"Content-Range": f"bytes */{size}"})
    return start, stop
