"""The metrics of a node, under the documented names; one registry per node, no globals."""

import time
from functools import cache

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, generate_latest

from storage.histograms import Durations

from .admission import Admission

# The label `route` of a request that is not measured under the name of its call.
ROUTE = web.RequestKey("route", str)
# The text is generated at most once in this time: it costs milliseconds, and scraping needs no token.
KEPT_S = 1.0


class Metrics:
    """The node's metrics; labelled children are cached, because the library takes four times as long to look one up."""

    def __init__(self, admission: Admission) -> None:
        self._text, self._made_at = b"", float("-inf")
        self.registry = CollectorRegistry()
        requests = Counter(
            "snapsurge_ingest_requests", "Requests answered", ["route", "status"], registry=self.registry
        )
        self.requests = cache(requests.labels)
        self.seconds = Durations(
            "snapsurge_ingest_request_seconds", "Head to answer", label="route", registry=self.registry
        ).series
        self.disbelieved = Counter(
            "snapsurge_ingest_disbelieved",
            "Requests whose peer says when they were received, without a good stamp or a trusted address",
            registry=self.registry,
        )
        self.bytes = Counter("snapsurge_ingest_bytes", "Body bytes read", registry=self.registry)
        self.stages = Durations(
            "snapsurge_stage_seconds", "accept, store, enqueue", label="stage", registry=self.registry
        ).series
        self.posts = cache(Counter("snapsurge_posts", "Uploads by outcome", ["outcome"], registry=self.registry).labels)
        failures = Counter(
            "snapsurge_store_failures", "Uploads that the store did not take", ["cause"], registry=self.registry
        )
        self.store_failures = cache(failures.labels)
        cut = Counter(
            "snapsurge_ingest_readers_cut",
            "Answers cut off: reader too slow, or place needed",
            ["why"],
            registry=self.registry,
        )
        self.readers_cut = cache(cut.labels)
        in_flight = Gauge("snapsurge_ingest_in_flight_requests", "Uploads in flight", registry=self.registry)
        in_flight.set_function(lambda: admission.requests)
        in_flight_bytes = Gauge(
            "snapsurge_ingest_in_flight_bytes", "Bytes of uploads, held or soon to come", registry=self.registry
        )
        in_flight_bytes.set_function(lambda: admission.bytes)
        held = Gauge("snapsurge_ingest_held_bytes", "Bytes of uploads in memory", registry=self.registry)
        held.set_function(lambda: admission.held)
        budget = Gauge("snapsurge_ingest_in_flight_bytes_max", "Budget of either", registry=self.registry)
        budget.set_function(lambda: admission.budget.bytes_max)
        puts = Gauge("snapsurge_ingest_puts_max", "Commits that may be under way", registry=self.registry)
        puts.set_function(lambda: admission.commits.puts_max)
        self.waiters = Gauge("snapsurge_ingest_waiters", "Long polls of posts that wait", registry=self.registry)
        rate = Gauge("snapsurge_ingest_commits_per_second", "Commits, smoothed", registry=self.registry)
        rate.set_function(lambda: admission.commits.rate)

    async def scrape(self, _request: web.Request) -> web.Response:
        """All metrics in Prometheus' text format, at most `KEPT_S` old."""
        if time.monotonic() - self._made_at >= KEPT_S:
            self._text, self._made_at = generate_latest(self.registry), time.monotonic()
        return web.Response(body=self._text, headers={"Content-Type": CONTENT_TYPE_LATEST})
