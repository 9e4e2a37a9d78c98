"""The HTTP calls about one user's data, for that user or ops: list the posts, export everything, delete everything.

The export is a ZIP that is written while it is read from the store, one post at a time, so that its size has no limit
and the node's memory does. An export that breaks off has no end of an archive: who unpacks it is told.
"""

import asyncio
import hashlib
import math
import random
import time
import zipfile
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
from aiohttp import web
from redis.exceptions import RedisError

from storage.records import Timestamp, from_ms
from storage.users import Received, Users

from .auth import PRINCIPAL, USER_ID_CHARS_MAX, is_user_id
from .errors import Refusal
from .limits import Rate
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
# An export holds a pair of two photos of 16 MiB and its renditions twice: packed, and as entries.
EXPORTS_MAX = 2
# Calls of one user. Apps page through lists; a deletion of many moments takes several calls.
LIST_RATE = Rate(30, 60)
ERASURE_RATE = Rate(10, 60)
EXPORT_RATE = Rate(10, 600)
# Each so many seconds in which the node waited for a client, the client's pace is judged anew: what sockets took at
# once, when the export began, is no pace.
JUDGED_S = 3.0
PIECE_BYTES = 64 * 1024
MANIFEST = "manifest.json"


class File(msgspec.Struct, frozen=True):
    """One file of an export."""

    name: str
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """The last file of an export: all others, and the keys of objects that could not be read."""

    user_id: str
    exported_at: Timestamp
    posts: int
    files: list[File]
    unreadable: list[str]


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
                    turn.pace, turn.end = paced.pace, lambda: patience.reschedule(0)
                    return await self._exported(request, user_id, response, paced)
            except ConnectionError:
                return response  # the client has gone
            except TimeoutError:
                detail = "the client reads too slowly, or others wait for their exports; ask again"
                raise Refusal("overloaded", detail) from None
            finally:
                turn.pace = turn.end = None

    async def _exported(
        self, request: web.Request, user_id: str, response: web.StreamResponse, paced: "Paced"
    ) -> web.StreamResponse:
        """Send the archive; after the head a failure can only cut the connection."""
        archive, files, unreadable, posts = Archive(), list[File](), list[str](), 0
        received = self._users.everything(user_id)
        first = await anext(received, None)  # before the head: a store that is away is answered 503
        await response.prepare(request)
        if request.transport is not None:
            request.transport.set_write_buffer_limits(high=0)  # a piece is written when the kernel has the one before
        try:
            while first is not None:
                posts += 1
                unreadable += first.unreadable
                packed, added = await asyncio.to_thread(archive.add, first)
                files += added
                await paced.write(packed)
                first = await anext(received, None)
            at = from_ms(time.time_ns() // 1_000_000)
            await paced.write(archive.end(Manifest(user_id, at, posts, files, unreadable)))
            await response.write_eof()
        except BaseException:  # also the end of the turn, which cancels
            if request.transport is not None:
                request.transport.abort()
            raise
        return response


class Paced:
    """Writes to a client that must read as fast as readers of pictures (sending.py); the store's time is free."""

    def __init__(self, response: web.StreamResponse, *, rate_bytes_s: int, grace_s: float) -> None:
        self._response = response
        self._rate_bytes_s = rate_bytes_s
        self._left_s = grace_s
        self._taken = 0
        self._waited_s = 0.0
        self._since: float | None = None  # when the write in progress began
        self._mark = 0, 0.0  # bytes and seconds at which the present judgement began
        self._pace = math.inf

    async def write(self, data: bytes) -> None:
        """Write all of it, piece by piece; TimeoutError when the client is too slow."""
        now = asyncio.get_running_loop().time
        for start in range(0, len(data), PIECE_BYTES):
            piece, begun = memoryview(data)[start : start + PIECE_BYTES], now()
            self._since = begun
            self._left_s += len(piece) / self._rate_bytes_s
            async with asyncio.timeout(self._left_s):
                await self._response.write(piece)
            self._taken += len(piece)
            self._waited_s += now() - begun
            self._since = None
            self._left_s -= now() - begun
            self._pace = self.pace()
            if self._waited_s - self._mark[1] >= JUDGED_S:
                self._mark = self._taken, self._waited_s

    def pace(self) -> float:
        """The bytes per second that the client takes now, or last took; infinite until that can be said."""
        taken, waited_s = self._taken - self._mark[0], self._waited_s - self._mark[1]
        if self._since is not None:
            waited_s += asyncio.get_running_loop().time() - self._since
        # With the piece that it may nearly have taken.
        return self._pace if waited_s < JUDGED_S else (taken + PIECE_BYTES) / waited_s


class Archive:
    """A ZIP whose bytes are taken away while it is written."""

    def __init__(self) -> None:
        self._sink = _Sink()
        self._zip = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_STORED)  # photos do not shrink

    def add(self, received: Received) -> tuple[bytes, Sequence[File]]:
        """Add the files of a post, in a folder of its moment; the bytes to send, and the files."""
        files = []
        for name, data in received.entries.items():
            path = f"{received.moment_id}/{name}"
            self._zip.writestr(path, data)
            files.append(File(path, len(data), hashlib.sha256(data).hexdigest()))
        return self._sink.taken(), files

    def end(self, manifest: Manifest) -> bytes:
        """Add the manifest and end the archive; the bytes to send."""
        self._zip.writestr(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
        self._zip.close()
        return self._sink.taken()


class _Sink:
    """A file that can only be written to, and that forgets what is taken. Not an `io` object, which closes itself.

    An archive that is given up writes its end when it is collected.
    """

    def __init__(self) -> None:
        self._written = bytearray()

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is open."""

    def write(self, data: Any, /) -> int:  # noqa: ANN401 - any buffer; Python 3.11 has no name for the type
        """Take the bytes."""
        self._written += data
        return len(memoryview(data))

    def taken(self) -> bytes:
        """What was written since the last call."""
        taken, self._written = bytes(self._written), bytearray()
        return taken


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
