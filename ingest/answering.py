"""What all answers share: arrival time, request id, measurements, and errors as problem+json.

The outermost layer of the application: every exception becomes an answer here, and only here.
"""

import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from secrets import token_hex

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMethod, HttpProcessingError
from redis.exceptions import RedisError

from storage.blobs import StoreFull, StoreUnavailable
from storage.refusals import reason

from .asked import Asked
from .auth import LINK
from .body.doorway import doorway_of
from .body.landing import discard, finish
from .cors import METHODS, NO_PAGES, Cors, allow, options
from .errors import Refusal
from .metrics import ROUTE, Metrics
from .outages import Bursts
from .peers import ARRIVAL, REQUEST_ID_HEADER, Arrival, Peers
from .readiness import Cause, Readiness
from .returns import when_away_s
from .sending import Sender
from .views import json_answer

log = logging.getLogger("snapsurge.ingest.answering")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def without_bytes(record: logging.LogRecord) -> bool:
    """A filter for aiohttp's log: keeps why a head was bad, but drops its bytes, which may contain a token.

    It is the client's fault, and no error of the node.
    """
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError):
        record.msg, record.args = f"{record.getMessage()}: {type(error).__name__}", ()
        record.exc_info = None
        record.levelno, record.levelname = logging.INFO, "INFO"
    return True


# For the balancer, which removes it: the cause of a 503, unless the cause is overload.
PAST_AIOHTTP = frozenset({"upload", "append_upload"})  # the calls that read their bodies so, by name in `calls.py`
CAUSE_HEADER = "Snapsurge-Cause"
NO_METHOD = "unknown method, or the previous body was longer than its Content-Length; allowed methods"
NO_SNIFFING = "X-Content-Type-Options"  # browsers must not guess a user's bytes to be HTML


class Lifecycle:
    """The state of the node: whether it drains, whether balancers still check it, and whether it is ready."""

    # While True, readiness checks get 503, and each connection closes after its answer.
    draining = False

    def __init__(self, asked: Asked | None = None, readiness: Readiness | None = None) -> None:
        self.asked = asked or Asked(register_s=0, restart_s=0)
        self.readiness = readiness

    def not_ready(self) -> dict[Cause, str]:
        """The reasons why the node is not ready; empty when it is."""
        return self.readiness.reasons(time.perf_counter()) if self.readiness else {}


def answering(
    lifecycle: Lifecycle,
    metrics: Metrics,
    peers: Peers,
    sender: Sender,
    cors: Cors = NO_PAGES,
    offers: Callable[[web.Request], Mapping[str, str]] = lambda _: {},
) -> Callable[..., Awaitable[web.StreamResponse]]:
    """The middleware around every call: arrival, errors as problem+json, request id and measurements.

    `offers` are the fields with which OPTIONS tells what a path supports, beside its methods.
    """
    bursts = Bursts()

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        arrival = request[ARRIVAL] = peers.arrival(request)
        doorway = doorway_of(request)
        if doorway is not None and doorway.unparsed is not None and request.match_info.route.name not in PAST_AIOHTTP:
            doorway.release()
        try:
            try:
                response = (
                    options(request, cors, offers(request)) if request.method == "OPTIONS" else await handler(request)
                )
            except Exception as error:  # noqa: BLE001 - the outermost edge: each error becomes an answer
                response = _problem(error, arrival, bursts)
                if response.status == 503 and (causes := lifecycle.not_ready() or _causes(error)):
                    response.headers[CAUSE_HEADER] = next(iter(causes))
                discard(request)
            response.headers[REQUEST_ID_HEADER] = arrival.request_id
            response.headers[NO_SNIFFING] = "nosniff"
            if cors:
                public = LINK in request and response.status < 400  # a picture by a signed link
                response.headers.update(cors.fields(request.headers.get("Origin"), public=public))
            if lifecycle.draining:
                response.force_close()
            route = request.get(ROUTE) or request.match_info.route.name or "other"
            metrics.requests(route, str(response.status)).inc()
            metrics.seconds(route, response.status).observe(time.perf_counter() - started)
            await sender.send(request, response)
        finally:
            sender.leave(request)
            finish(request)
        return response

    return answer


def malformed(error: HttpProcessingError) -> web.Response:
    """The answer to a head that aiohttp cannot read: it never becomes a request, so the middleware never sees it."""
    refusal = Refusal("bad-request", "the request's head is malformed or too long; see /docs")
    if isinstance(error, BadHttpMethod):
        allowed = ", ".join(METHODS)
        refusal = Refusal("method-not-allowed", f"{NO_METHOD}: {allowed}", headers={"Allow": allowed})
    return _answer(refusal, token_hex(16))


def _problem(error: Exception, arrival: Arrival, bursts: Bursts) -> web.Response:
    refusal = _refusal_of(error)
    if refusal.status >= 500:
        fault = error if refusal.code == "internal" and not isinstance(error, RedisError) else None
        why = reason(error) if isinstance(error, RedisError) else refusal
        # A full node turns away thousands a second, which is no fault: one line says how many.
        more = bursts.counted(refusal.code, time.monotonic()) if refusal.code == "overloaded" else 0
        if more is not None:
            said = f" ({more} more since the last line)" if more else ""
            request = {"request": arrival.request_id}
            log.warning("%s: %s%s", arrival.request_id, why, said, exc_info=fault, extra=request)
    return _answer(refusal, arrival.request_id)


def _answer(refusal: Refusal, request_id: str) -> web.Response:
    response = json_answer(refusal.problem(request_id), refusal.status)
    response.content_type = "application/problem+json"
    response.headers.update({**refusal.headers, REQUEST_ID_HEADER: request_id, NO_SNIFFING: "nosniff"})
    return response


def _causes(error: Exception) -> tuple[Cause, ...]:
    """The cause of a 503 while the node is ready; empty for overload, which is not a fault of the node."""
    return ("store",) if _refusal_of(error).code == "storage-unavailable" else ()


def _refusal_of(error: Exception) -> Refusal:
    """The refusal that the client gets for any exception."""
    if isinstance(error, Refusal):
        return error
    wait = {"Retry-After": str(when_away_s(random.random()))}
    if isinstance(error, StoreFull):
        return Refusal("storage-full", "the object store is full; operators must free space", headers=wait)
    if isinstance(error, StoreUnavailable):
        return Refusal("storage-unavailable", "ask again", headers=wait)
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = allow(error)
        return Refusal("method-not-allowed", f"allowed methods: {allowed}", headers={"Allow": allowed})
    if isinstance(error, web.HTTPException) and error.status < 500:
        return Refusal("no-such-page" if error.status == 404 else "bad-request", f"{error.reason}; see /docs")
    return Refusal("internal", "internal error; report the request id to the operators")
