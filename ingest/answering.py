"""What every answer has in common: arrival, request id, measurements, and errors as problem+json.

The outermost edge of the application: whatever is raised inside becomes an answer here, and nowhere else.
"""

import logging
import random
import time
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from redis.exceptions import RedisError

from storage.blobs import StoreFull, StoreUnavailable
from storage.refusals import reason

from .asked import Asked
from .body.landing import discard
from .errors import Refusal
from .metrics import Metrics
from .peers import ARRIVAL, REQUEST_ID_HEADER, Arrival, Networks, arrival_of
from .readiness import Cause, Readiness
from .returns import when_away_s
from .sending import Sender
from .views import json_answer

log = logging.getLogger("snapsurge.ingest.answering")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def without_bytes(record: logging.LogRecord) -> bool:
    """A filter of aiohttp's log: it names what was wrong with a head, but not its bytes, which may hold a token."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError):
        record.msg, record.args = f"{record.getMessage()}: {type(error).__name__}", ()
        record.exc_info = None
    return True


# To the balancer alone, which takes it off: what a 503 of this node comes from, where that is not too many requests.
CAUSE_HEADER = "Snapsurge-Cause"


class Lifecycle:
    """Whether the node drains (it then says so, and closes each connection after its answer), who asks, what fails."""

    draining = False

    def __init__(self, asked: Asked | None = None, readiness: Readiness | None = None) -> None:
        self.asked = asked or Asked(register_s=0, restart_s=0)
        self.readiness = readiness

    def not_ready(self) -> dict[Cause, str]:
        """Why the node cannot do its job; empty when it can."""
        return self.readiness.reasons(time.perf_counter()) if self.readiness else {}


def answering(
    lifecycle: Lifecycle, metrics: Metrics, trusted: Networks, sender: Sender
) -> Callable[..., Awaitable[web.StreamResponse]]:
    """Around every call: when it arrived, its errors as problem+json, its request id and its measurements."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        arrival = request[ARRIVAL] = arrival_of(request, trusted)
        try:
            try:
                response = await handler(request)
            except Exception as error:  # noqa: BLE001 - the outermost edge: each error becomes an answer
                response = _problem(error, arrival)
                if response.status == 503 and (causes := lifecycle.not_ready() or _causes(error)):
                    response.headers[CAUSE_HEADER] = next(iter(causes))
                discard(request)
            response.headers[REQUEST_ID_HEADER] = arrival.request_id
            response.headers["X-Content-Type-Options"] = "nosniff"  # what a user sent is never guessed to be a page
            if lifecycle.draining:
                response.force_close()
            route = request.match_info.route.name or "other"
            metrics.requests(route, str(response.status)).inc()
            metrics.seconds(route).observe(time.perf_counter() - started)
            await sender.send(request, response)
        finally:
            sender.leave(request)
        return response

    return answer


def _problem(error: Exception, arrival: Arrival) -> web.Response:
    refusal = _refusal_of(error)
    if refusal.status >= 500:
        fault = error if refusal.code == "internal" and not isinstance(error, RedisError) else None
        why = reason(error) if isinstance(error, RedisError) else refusal
        log.warning("%s: %s", arrival.request_id, why, exc_info=fault)
    response = json_answer(refusal.problem(arrival.request_id), refusal.status)
    response.content_type = "application/problem+json"
    response.headers.update(refusal.headers)
    return response


def _causes(error: Exception) -> tuple[Cause, ...]:
    """What a 503 of a node that is ready comes from; nothing for overload, which is no fault of the node's."""
    return ("store",) if _refusal_of(error).code == "storage-unavailable" else ()


def _refusal_of(error: Exception) -> Refusal:
    """What a client is told of an error, whoever raised it."""
    if isinstance(error, Refusal):
        return error
    wait = {"Retry-After": str(when_away_s(random.random()))}
    if isinstance(error, StoreFull):
        return Refusal("storage-full", "ops must make room", headers=wait)
    if isinstance(error, StoreUnavailable):
        return Refusal("storage-unavailable", "ask again", headers=wait)
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return Refusal("method-not-allowed", f"here works: {allowed}", headers={"Allow": allowed})
    if isinstance(error, web.HTTPException) and error.status < 500:
        return Refusal("no-such-page" if error.status == 404 else "bad-request", f"{error.reason}; see /docs")
    return Refusal("internal", "this is our fault; the request id helps ops to find it")
