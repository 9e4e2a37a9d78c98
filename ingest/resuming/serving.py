"""The calls of resumable uploads: create one with its post, ask how much has arrived, append to it, end it.

A creation is the ordinary upload plus the version of the protocol that the client announces and the field that says
whether the content is all of the body; without either, or with a version that is not served, it is an ordinary upload.
It is decided in the same order, and the answer that completes it is that of the post. Rules of the protocol that differ
by version are in `versions.py`; when an upload ends, in `resource_table.py`.
"""

import asyncio
import re
import time
from collections.abc import Mapping
from typing import Final

import msgspec
from aiohttp import HttpVersion11, web

from ..admission import Admission
from ..auth import PRINCIPAL
from ..body.arriving import Shed
from ..body.receiving import CONTENT_DIGEST, REPR_DIGEST, CutOff, OverLength, Receiver
from ..config import Config
from ..errors import Refusal
from ..metrics import ROUTE, Metrics
from ..peers import ARRIVAL
from ..uploads import Try, Uploads
from .beginnings import Beginning
from .legs import Leg, say
from .parts import Parts, content_length
from .resource import Answered, Resource
from .resource_table import Resources, Timers
from .versions import INTEROP, LENGTH, NEWEST, OFFSET, PART_TYPE, Limits, Version, announced, integer

PATH: Final = "/v1/uploads/"
_OFFERED: Final = re.compile(r"/v1/(?:moments/[^/]+/posts|uploads/[^/]+)")
# Failures of the service after which the same request succeeds.
_OURS: Final = frozenset({503, 507})
_NO_STORE: Final = {"Cache-Control": "no-store"}


class Resuming:
    """The calls, for a node with these parts."""

    def __init__(
        self,
        uploads: Uploads,
        resources: Resources,
        receiver: Receiver,
        admission: Admission,
        metrics: Metrics,
        timers: Timers,
        config: Config,
    ) -> None:
        self._uploads = uploads
        self._resources = resources
        self._receiver = receiver
        self._admission = admission
        self._metrics = metrics
        self._timers = timers
        self._bytes_max, self._age_s = config.body_bytes_max, config.resume_age_s
        offered = Limits(config.body_bytes_max, int(min(config.resume_idle_s, config.resume_age_s)))
        self._parts = Parts(receiver, admission, config.body_bytes_max, offered)

    async def create(self, request: web.Request) -> web.Response:
        """Accept a pair, in one request or as the first part of several; without the protocol's fields as ever."""
        if INTEROP not in request.headers:  # all that an ordinary upload pays
            return await self._uploads.post(request)
        version = announced(request.headers)
        complete = version.complete(request.headers) if version else None
        if version is None or complete is None or request.version < HttpVersion11:
            return await self._uploads.post(request)
        tried = await self._uploads.begun(request)
        try:
            resource = await self._begin(request, tried, version, complete=complete)
        except BaseException as error:
            if isinstance(error, Refusal):
                error.headers.update(version.ended())
            self._uploads.ended(tried, error)
            raise
        return await self._receive(request, resource, version, tried, complete=complete)

    async def offset(self, request: web.Request) -> web.Response:
        """How much of an upload has arrived; a request that is still moving ends."""
        request[ROUTE] = "upload_offset"  # also of a HEAD
        found = await self._found(request)
        version = announced(request.headers) or found.version
        self._parts.check_bare(request, version)
        if isinstance(found, Resource):
            self._resources.stop(found)
            self._resources.park(found)
            await self._found(request)  # too large to be parked, it has ended: no offset is told that would be refused
        fields = version.state(found.offset, complete=isinstance(found, Answered)) | _NO_STORE
        fields |= version.limit(self._limits(found))
        if found.length is not None and version.tells_length:
            fields[LENGTH] = str(found.length)
        return web.Response(status=204, headers=fields)

    async def append(self, request: web.Request) -> web.Response:
        """Add the content to an upload, which it may complete."""
        found = await self._found(request)
        version = announced(request.headers) or found.version
        try:
            offset, complete = self._parts.part(request, version)
            if isinstance(found, Answered):
                return _again(request, found, version, offset)
            self._resources.stop(found)  # from now on its offset does not grow
            self._parts.check(request, version, found, offset, complete=complete)
        except Refusal as refusal:
            refusal.headers.update(version.state(found.offset, complete=isinstance(found, Answered)))
            if isinstance(found, Resource) and found.moving is None:
                self._resources.park(found)
            raise
        if found.body.digest is not None:
            found.body.digest.begin(found.body.buffer.view[:offset])
        self._metrics.resumed.inc()
        arrival, first = request[ARRIVAL], found.tried.arrival
        tried_at_ms = arrival.tried_at_ms or arrival.received_at_ms
        arrival = msgspec.structs.replace(arrival, tried_at_ms=tried_at_ms, retry=first.retry)
        tried = msgspec.structs.replace(found.tried, arrival=arrival)
        return await self._receive(request, found, version, tried, complete=complete)

    async def cancel(self, request: web.Request) -> web.Response:
        """End an upload: what has arrived is forgotten. A post that it has become stays."""
        found = await self._found(request)
        version = announced(request.headers) or found.version
        self._parts.check_bare(request, version)
        if isinstance(found, Answered):
            self._resources.forget(request.match_info["upload"])
        else:
            gone = Refusal("no-such-upload", "the client has cancelled it", headers=version.ended(), stored=False)
            self._resources.end(found, "cancelled", gone)
        return web.Response(status=204, headers={INTEROP: str(version.number)})

    def offers(self, request: web.Request) -> Mapping[str, str]:
        """The fields by which OPTIONS tells what uploads may be; empty for other paths."""
        if not _OFFERED.fullmatch(request.path):
            return {}
        return {**(announced(request.headers) or NEWEST).limit(self._parts.offered), "Accept-Patch": PART_TYPE}

    async def _begin(self, request: web.Request, tried: Try, version: Version, *, complete: bool) -> Resource:
        """Decide as about any upload, before the body."""
        boundary, most = self._receiver.announced(request)
        # The ticket of a part may be bound to the length of the whole, in whatever version.
        bound = tried.arrival.retry and not complete
        length = self._parts.told_length(request, version, 0, complete=complete, bound=bound)
        if integer(request.headers, OFFSET):
            raise Refusal("bad-request", "a new upload begins at offset 0", stored=False)
        if length is not None and length > self._bytes_max:
            raise self._parts.too_long(None, version)
        digest = self._receiver.retry_digest(request) if tried.arrival.retry and complete else None
        names, idle = (CONTENT_DIGEST, REPR_DIGEST) if complete else (REPR_DIGEST,), REPR_DIGEST not in request.headers
        digest = digest or self._receiver.digest(request, *names, idle=idle)
        most = self._bytes_max if length is None else length
        place = await self._uploads.admit(tried, most, announced=length is not None)
        # A ticket keeps the time of an earlier try. It binds that try's content, so of a part it leaves the rest open:
        # all of the upload must come within its age since then.
        earlier_ms = (tried.arrival.tried_at_ms or time.time_ns() // 1_000_000) - tried.received_at_ms
        lived_s = max(0, earlier_ms) / 1000 if tried.arrival.retry else 0.0
        body = self._receiver.begin(boundary, place, digest)
        return self._resources.begin(tried, Beginning.of(request), version, body, length, lived_s=lived_s)

    async def _receive(
        self, request: web.Request, resource: Resource, version: Version, tried: Try, *, complete: bool
    ) -> web.Response:
        """Take the content of one request of an upload; afterwards the upload is parked, or has ended."""
        first = tried is resource.tried

        def tell(offset: int) -> None:
            say(request, version.progressed(offset))

        leg = Leg(resource.body, self._admission, self._timers.time, resource.moved, tell if version.progress else None)
        self._resources.take(resource, leg, aged=not (first and complete))
        location = PATH + resource.token
        try:
            if first:
                say(request, version.supported(location, self._limits(resource)))
            with self._metrics.stages("accept").time():
                await self._receiver.read(request, leg)
            if complete:
                return await self._finish(request, resource, version, tried)
        except Exception as error:  # noqa: BLE001 - whatever it is, the upload is parked, or ends with it
            raise self._stopped(resource, leg, version, tried, error) from None
        except BaseException:
            self._resources.end(resource, "refused", tried=tried)
            raise
        self._resources.park(resource)
        fields = version.state(resource.offset, complete=False) | version.limit(self._limits(resource))
        status = 201 if first else version.appended
        return web.Response(status=status, headers=fields | ({"Location": location} if first else {}))

    async def _finish(self, request: web.Request, resource: Resource, version: Version, tried: Try) -> web.Response:
        """Commit the post of an upload that has arrived completely."""
        if resource.length is not None and resource.offset != resource.length:
            detail = f"the upload was to have {resource.length} bytes, and has {resource.offset}"
            raise Refusal("inconsistent-length", detail, stored=False)
        self._resources.settle(resource)
        request[PRINCIPAL].check_expiry()
        pair = self._receiver.whole(resource.body)
        if resource.failed_at is not None:
            await asyncio.sleep(self._resources.pause_s(resource))
        response = await self._uploads.store(tried, pair)
        response.headers.update(version.state(resource.offset, complete=True))
        self._resources.answer(resource, tried, response)
        if version.names_upload and tried is resource.tried:
            response.headers["Location"] = PATH + resource.token
        return response

    def _stopped(self, resource: Resource, leg: Leg, version: Version, tried: Try, error: Exception) -> Exception:
        """What the client gets when its request brought no end; the upload is parked, or has ended with it."""
        if isinstance(error, Shed):
            reason, error = "displaced", self._uploads.overloaded()
        elif resource.moving is not leg and resource.settled is None:
            return error  # another request has the upload, or it has ended
        elif isinstance(error, Refusal) and _is_kept(resource, error):
            if resource.settled is None:
                self._resources.park(resource)
            else:
                self._resources.reopen(resource)
                error.headers.update(resource.excuse())
            kept = not resource.body.place.gone
            error.headers.update(version.state(resource.offset, complete=False) if kept else version.ended())
            return error
        else:
            reason = "refused"
            if isinstance(error, OverLength):
                error = self._parts.too_long(resource.length, version)
        resource.moving = None  # it has ended by itself: to give it up with its own error would be a reference cycle
        self._resources.end(resource, reason, error, tried=tried)
        if isinstance(error, Refusal):
            error.headers.update(version.ended() | (resource.excuse() if error.status in _OURS else {}))
        return error

    async def _found(self, request: web.Request) -> Resource | Answered:
        token, user_id = request.match_info["upload"], request[PRINCIPAL].user_id
        found = await self._resources.found(token, user_id)
        if isinstance(found, Answered) and not await self._uploads.stands(found.post_id, found.attempt):
            self._resources.forget(token)
            raise Refusal("no-such-upload", "its post was deleted; to post, make a new upload", stored=False)
        return found

    def _limits(self, found: Resource | Answered) -> Limits:
        return Limits(self._bytes_max, int(self._resources.left_s(found)))


def _again(request: web.Request, found: Answered, version: Version, offset: int) -> web.Response:
    """The answer to an append to a completed upload: that of its post once more, where nothing is to be added."""
    detail = f"the upload is complete with {found.offset} bytes"
    if offset != found.offset:
        raise Refusal("wrong-offset", detail, stored=False, offsets=(found.offset, offset))
    if not version.replays:
        raise Refusal("upload-completed", "its post was answered already")
    if content_length(request):  # Node's clients send none in chunks: unknown, and not read
        raise Refusal("inconsistent-length", detail, stored=False)
    return web.Response(status=found.status, body=found.content, headers=found.headers)


def _is_kept(resource: Resource, refusal: Refusal) -> bool:
    """Whether what has arrived is kept: the connection broke or stood still, the length was wrong, or we failed."""
    if resource.settled is not None:
        return refusal.status in _OURS
    return isinstance(refusal, CutOff) or refusal.code in ("too-slow", "inconsistent-length")
