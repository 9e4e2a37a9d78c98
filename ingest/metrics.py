"""The metrics of a node, under the documented names; one registry per node, no globals.

Every label set that can occur is there from the start, at 0: Prometheus sees growth between two scrapes only, so a
series that begins with its first event loses that event, and a burst lasts two minutes.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from typing import Protocol, get_args

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

from storage.exposition import OPENMETRICS, page
from storage.histograms import Durations, Series

from .admission import Admission
from .calls import CALLS, FILES
from .errors import CODES
from .readiness import Cause

# The label `route` of a request that is not measured under the name of its call.
ROUTE = web.RequestKey("route", str)
# The text is generated at most once in this time: it costs milliseconds, and scraping needs no token.
KEPT_S = 1.0
OUTCOMES = ("accepted", "replayed", "conflict", "shed", "limited", "not_queued")
STORE_CAUSES = ("unavailable", "quorum-lost", "full")
STAGES = ("accept", "store", "enqueue")
CUTS = ("shed", "too-slow")
UPLOAD_ENDS = ("completed", "refused", "cancelled", "expired", "displaced", "replaced", "drained")
# The routes that are timed by name: what phones ask for in a burst. All others are timed as `other`. Uploads that are
# refused have a name of their own: a refusal takes a millisecond, and many of them would hide the times of the others.
REFUSED_UPLOAD = "upload_refused"
TIMED = ("upload", REFUSED_UPLOAD, "post", "post_wait", "photo", "current_moment", "moment")
OTHER = "other"
# Statuses that any call may have: no such method, a head that is too long for aiohttp, a fault of ours.
ANY_STATUS = (400, 405, 500)
# Statuses that no error code gives: a replayed upload, ranges and conditions of pictures, a node that is not ready.
MORE_STATUSES: Mapping[str, tuple[int, ...]] = {
    "upload": (200,),
    "append_upload": (200, 204),
    "photo": (206, 304),
    "readyz": (503,),
    OTHER: (200, 404, 413),
}


def answered() -> Iterator[tuple[str, str]]:
    """Every route with every status that it is known to be answered with."""
    for call in (*CALLS, *FILES):
        errors = (CODES[code][0].value for code in call.errors)
        for status in sorted({call.status, *errors, *ANY_STATUS, *MORE_STATUSES.get(call.name, ())}):
            yield call.name, str(status)
    post = next(call for call in CALLS if call.name == "post")
    for status in sorted({post.status, *(CODES[code][0].value for code in post.errors)}):
        yield "post_wait", str(status)
    for status in sorted({*ANY_STATUS, *MORE_STATUSES[OTHER]}):
        yield OTHER, str(status)


class State(Protocol):
    """Whether the node may take traffic."""

    draining: bool

    def not_ready(self) -> Mapping[Cause, str]:
        """The reasons why the node is not ready; empty when it is."""


def _holds(cause: Cause, state: State | None) -> bool:
    return state is not None and cause in state.not_ready()


class Metrics:
    """The node's metrics; labelled children are cached, because the library takes four times as long to look one up."""

    def __init__(self, admission: Admission, state: State | None = None, files_needed: int = 0) -> None:
        self._made: dict[bool, tuple[float, bytes, str]] = {}
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = self._counter(
            "ingest_requests", "Requests answered, by call and HTTP status", "route", "status",
            known=tuple(answered()),
        )  # fmt: skip
        self._seconds = Durations(
            "snapsurge_ingest_request_seconds",
            "Seconds from head to answer; `upload` (no refusals) is mostly the phone's network, see stage_seconds",
            label="route",
            values=(*TIMED, OTHER),
            registry=self.registry,
        )
        self.disbelieved = Counter(
            "snapsurge_ingest_disbelieved",
            "Requests whose Snapsurge-Received-At was ignored because the peer is not trusted; their users may be "
            "marked late: give balancers and nodes the same stamp secret, or set SNAPSURGE_INGEST_TRUSTED_PEERS",
            registry=self.registry,
        )
        self.bytes = Counter("snapsurge_ingest_bytes", "Body bytes read; its rate is the load", registry=self.registry)
        self.stages = Durations(
            "snapsurge_stage_seconds",
            "Seconds of an upload's stages in the node: accept (until the body is read), store (the PUT that commits), "
            "enqueue (the index and the jobs); a slow `store` is the store or its network",
            label="stage",
            values=STAGES,
            registry=self.registry,
        ).series
        self.posts = self._counter(
            "posts", "Uploads by outcome; `shed` is answered 503 with a ticket and comes back: add nodes; `not_queued` "
            "waits for the sweeper: look at Redis", "outcome", known=tuple((one,) for one in OUTCOMES),
        )  # fmt: skip
        self.store_failures = self._counter(
            "store_failures", "Uploads that the store did not take: `quorum-lost` is a store with too few members (no "
            "overload: look at its members and drives), `full` needs space", "cause",
            known=tuple((one,) for one in STORE_CAUSES),
        )  # fmt: skip
        self.readers_cut = self._counter(
            "ingest_readers_cut", "Answers aborted because their client read too slowly (`too-slow`) or another client "
            "needed the slot (`shed`)", "why", known=tuple((one,) for one in CUTS),
        )  # fmt: skip
        self._load(admission)
        self._state(state)
        self._gauge(
            "files_needed",
            "File descriptors that its limits can need; above process_max_fds: raise LimitNOFILE, or lower "
            "SNAPSURGE_INGEST_IN_FLIGHT_REQUESTS_MAX",
        ).set(files_needed)

    def _counter(
        self, name: str, text: str, *labels: str, known: tuple[tuple[str, ...], ...]
    ) -> Callable[..., Counter]:
        """The children of a counter by label values; the known ones are there at 0."""
        children = cache(Counter(f"snapsurge_{name}", text, labels, registry=self.registry).labels)
        for values in known:
            children(*values)
        return children

    def _gauge(self, name: str, text: str, value: Callable[[], float] | None = None) -> Gauge:
        made = Gauge(f"snapsurge_ingest_{name}", text, registry=self.registry)
        if value is not None:
            made.set_function(value)
        return made

    def _resuming(self) -> None:
        """Uploads that can be resumed."""
        self.resumable_begun = Counter(
            "snapsurge_ingest_resumable_begun", "Uploads whose client can resume them", registry=self.registry
        )
        self.resumed = Counter(
            "snapsurge_ingest_resumed",
            "Requests that continued an upload; near zero while many are parked: look at how balancers find the node",
            registry=self.registry,
        )
        self.resumable_ended = self._counter(
            "ingest_resumable_ended", "Resumable uploads by their end: `expired` did not come back in time, "
            "`displaced` gave its memory to others (add nodes, or raise SNAPSURGE_INGEST_PARKED_BYTES_MAX), `replaced` "
            "by the user's next one, `drained` when the node stopped", "reason",
            known=tuple((one,) for one in UPLOAD_ENDS),
        )  # fmt: skip

    def _load(self, admission: Admission) -> None:
        """What is in flight, and its budgets."""
        self._resuming()
        self._gauge("in_flight_requests", "Uploads in flight", lambda: admission.requests)
        self._gauge(
            "in_flight_bytes",
            "Bytes charged to uploads in flight, received and expected soon; near "
            "snapsurge_ingest_in_flight_bytes_max the node answers 503",
            lambda: admission.bytes,
        )
        self._gauge("held_bytes", "Bytes of uploads in memory", lambda: admission.held)
        self._gauge(
            "in_flight_bytes_max", "Budget of bytes in flight and of bytes held", lambda: admission.budget.bytes_max
        )
        self._gauge(
            "parked_uploads", "Uploads that wait for clients whose connections broke", lambda: len(admission.parked)
        )
        self._gauge(
            "parked_bytes",
            "Bytes of parked uploads; at snapsurge_ingest_parked_bytes_max the least recently active ones end",
            lambda: admission.parked.bytes,
        )
        self._gauge("parked_bytes_max", "Budget of parked bytes", lambda: admission.budget.parked_bytes_max)
        self._gauge(
            "puts_max",
            "Current limit on concurrent commits, adapted to the speed of the store; falls while the store is slow",
            lambda: admission.commits.puts_max,
        )
        self._gauge("commits_per_second", "Commits, smoothed", lambda: admission.commits.rate)
        self.waiters = self._gauge("waiters", "Requests that wait for a post to become ready (long polls)")

    def _state(self, state: State | None) -> None:
        """Whether the node may take traffic."""
        causes = Gauge(
            "snapsurge_ingest_not_ready",
            "1 while /readyz answers 503 for this cause, so that balancers use other nodes; the node's log has details",
            ["cause"],
            registry=self.registry,
        )
        for cause in get_args(Cause):
            causes.labels(cause).set_function(partial(_holds, cause, state))
        self._gauge("draining", "1 while the node drains", lambda: bool(state and state.draining))

    def seconds(self, route: str, status: int = 200) -> Series:
        """The durations of the requests of this route that were answered so."""
        if route == "upload" and status >= 400:
            route = REFUSED_UPLOAD
        return self._seconds.series(route if route in TIMED else OTHER)

    async def scrape(self, request: web.Request) -> web.Response:
        """All metrics in the form that was asked for, at most `KEPT_S` old."""
        form = OPENMETRICS in request.headers.get("Accept", "")
        at, body, kind = self._made.get(form, (float("-inf"), b"", ""))
        if time.monotonic() - at >= KEPT_S:
            body, kind = page(self.registry, as_openmetrics=form)
            self._made[form] = time.monotonic(), body, kind
        return web.Response(body=body, headers={"Content-Type": kind})
