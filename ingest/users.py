"""The HTTP calls about one user's data, for that user or ops: list the posts, export everything, delete everything.

The export is a ZIP that is written while it is read from the store, a piece at a time, so that its size has no limit
and the node's memory does, and a slow client costs little. An export that breaks off has no end of an archive: who
unpacks it is told.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TypeVar

from aiohttp import web
from redis.exceptions import RedisError

from storage import keys
from storage.records import from_ms
from storage.users import PIECE_BYTES, Changed, Contents, Users

from .auth import PRINCIPAL, USER_ID_CHARS_MAX, is_user_id
from .errors import Refusal
from .exports import Archive, Paced, Reader
from .gcra import Rate
from .giving_way import NODE_PART
from .links import Links
from .moments import cursor_of, limit_of
from .peers import ARRIVAL, REQUEST_ID_HEADER
from .returns import when_away_s
from .turns import Turn, Turns
from .views import PostPage, json_answer, post_view

# A list or a deletion reads up to a thousand moments, sixteen at a time: together they take half of the connections to
# the store.
LISTS_MAX = 2
ERASURES_MAX = 2
# An export holds a piece of 1 MiB, twice while it is packed, and its socket holds some more: 64 MiB for all. Two at a
# time read the store and pack: that is the work, which slow clients do not stretch.
EXPORTS_MAX = 16
EXPORTS_WORKING_MAX = EXPORTS_MAX // NODE_PART
# Calls of one user. Apps page through lists; a deletion of many moments takes several calls.
LIST_RATE = Rate(30, 60)
ERASURE_RATE = Rate(10, 60)
EXPORT_RATE = Rate(10, 600)
R = TypeVar("R")


class UserCalls:
    """The calls under `/v1/users`."""

    def __init__(self, users: Users, links: Links, *, rate_bytes_s: int, grace_s: float) -> None:
        self._users = users
        self._links = links
        self._rate_bytes_s = rate_bytes_s
        self._grace_s = grace_s
        self._lists = Turns(LISTS_MAX, "lists of all posts", LIST_RATE)
        self._erasures = Turns(ERASURES_MAX, "deletions of all posts", ERASURE_RATE)
        self._exports = Turns(EXPORTS_MAX, "exports", EXPORT_RATE)
        self._working = asyncio.Semaphore(EXPORTS_WORKING_MAX)

    async def posts(self, request: web.Request) -> web.Response:
        """One page of the user's posts."""
        user_id, cursor, limit = _user_of(request), cursor_of(request), limit_of(request)
        async with _turn(self._lists, request, user_id):
            posts, after = await self._users.page(user_id, cursor, limit)
        sign = self._links.signer(time.time())
        return json_answer(PostPage([post_view(post, sign) for post in posts], after))

    async def erase(self, request: web.Request) -> web.Response:
        """Delete what the user has sent; the receipt."""
        user_id, cursor = _user_of(request), cursor_of(request)
        try:
            async with _turn(self._erasures, request, user_id):
                erasure = await self._users.erase(user_id, request[ARRIVAL].attempt, cursor)
        except RedisError as error:
            wait = {"Retry-After": str(when_away_s(random.random()))}
            detail = "Redis does not answer: not all is deleted, and copies of records may still be shown: delete again"
            raise Refusal("storage-unavailable", detail, headers=wait) from error
        return json_answer(erasure)

    async def export(self, request: web.Request) -> web.StreamResponse:
        """Everything of the user as a ZIP, sent while it is made."""
        user_id = _user_of(request)
        fields = {
            "Cache-Control": "private, no-store",
            "Content-Disposition": 'attachment; filename="export.zip"',
            "Content-Type": "application/zip",
            "X-Content-Type-Options": "nosniff",
            REQUEST_ID_HEADER: request[ARRIVAL].request_id,
        }
        if request.method == "HEAD":
            return web.StreamResponse(headers=fields)
        response = web.StreamResponse(headers=fields)
        paced = Paced(response, rate_bytes_s=self._rate_bytes_s, grace_s=self._grace_s)
        async with _turn(self._exports, request, user_id) as turn:
            try:
                async with asyncio.timeout(None) as patience:
                    turn.client = Reader(paced, patience)
                    return await self._exported(request, user_id, response, paced)
            except ConnectionError:
                return response  # the client has gone
            except TimeoutError:
                detail = "the client reads too slowly, or others wait for their exports; ask again"
                raise Refusal("overloaded", detail) from None
            except Changed:
                raise Refusal("superseded", "a post was deleted or changed while it was sent; ask again") from None
            finally:
                turn.client = None

    async def _exported(
        self, request: web.Request, user_id: str, response: web.StreamResponse, paced: Paced
    ) -> web.StreamResponse:
        """Send the archive; after the head a failure can only cut the connection."""
        archive, present = Archive(), self._users.present(user_id)
        moments = await self._worked(lambda: anext(present, None))  # before the head: without the store it is 503
        await response.prepare(request)
        if request.transport is not None:
            request.transport.set_write_buffer_limits(high=0)  # a piece is written when the kernel has the one before
        try:
            while moments is not None:
                for moment_id in moments:
                    archive.posts += 1
                    post_id = keys.post_id(moment_id, user_id)
                    await self._send(f"{moment_id}/received", keys.intake(moment_id, post_id), archive, paced)
                    await self._send(f"{moment_id}/shown", keys.media(moment_id, post_id), archive, paced)
                moments = await self._worked(lambda: anext(present, None))
            await paced.write(archive.end(user_id, from_ms(time.time_ns() // 1_000_000)))
            await response.write_eof()
        except BaseException:  # also the end of the turn, which cancels
            if request.transport is not None:
                request.transport.abort()
            raise
        finally:
            archive.give_up()
        return response

    async def _send(self, folder: str, key: str, archive: Archive, paced: Paced) -> None:
        """Send the files of an object, if there is one, piece by piece."""
        contents = await self._worked(lambda: self._users.contents(key))
        if contents is None:
            return
        if contents.files is None:
            archive.unreadable.append(key)
        for start in range(0, contents.end, PIECE_BYTES):
            await paced.write(await self._worked(partial(self._packed, folder, contents, start, archive)))

    async def _packed(self, folder: str, contents: Contents, start: int, archive: Archive) -> bytes:
        """A piece of an object, as it is in the archive."""
        piece = await self._users.piece(contents, start)
        return await asyncio.to_thread(archive.add, folder, contents, start, piece)

    async def _worked(self, work: Callable[[], Awaitable[R]]) -> R:
        """Do the node's work for an export, which few exports may have at a time."""
        async with self._working:
            return await work()


def _turn(turns: Turns, request: web.Request, user_id: str) -> AbstractAsyncContextManager[Turn]:
    """A turn for this request; operators have no rate, because they ask for many users."""
    limited = request[PRINCIPAL].scope != "ops"
    return turns.of(user_id, limited=limited, gone=lambda: request.transport is None)


def _user_of(request: web.Request) -> str:
    """The user of the path; Refusal for another user's token."""
    user_id = request.match_info["user_id"]
    if not is_user_id(user_id):
        raise Refusal("bad-request", f"a user id has 1 to {USER_ID_CHARS_MAX} printable characters")
    if request[PRINCIPAL].scope != "ops" and request[PRINCIPAL].user_id != user_id:
        raise Refusal("forbidden", "only this user or ops may do this")
    return user_id
