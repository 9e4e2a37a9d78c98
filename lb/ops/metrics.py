"""The balancer's Prometheus metrics, read from counters at each scrape.

Each family is there from the start with all its label values; a node's series begin when the node becomes a member.
`_created` says since when a counter counts: since the process started, of a node since it became a member.
"""

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric, Sample
from prometheus_client.registry import Collector

from ..placement.health import State
from ..placement.node import RAMP_FULL
from ..relay.connections import Connections
from ..relay.counters import LATENCY_S
from .about import files_needed

CLASSES = ("gone", "1xx", "2xx", "3xx", "4xx", "5xx")


class BalancerCollector(Collector):
    """Collects the metrics of one process."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._context = connections.context
        self._born = time.time()
        self._to_unix = self._born - self._context.clock()

    def collect(self) -> Iterator[Metric]:
        """All families, names starting with `snapsurge_lb_`."""
        yield from self._requests()
        yield from self._totals()
        yield from self._states()
        yield from self._nodes()

    def _requests(self) -> Iterator[Metric]:
        counters = self._context.counters
        requests = CounterMetricFamily(
            "snapsurge_lb_requests",
            "Requests by status class; `gone`: the client left first. A rise of 5xx: the service sheds or fails",
            labels=["status"],
        )
        latency = HistogramMetricFamily(
            name := "snapsurge_lb_request_seconds",
            "Seconds from the request head to the end of the answer; uploads take as long as the phone's network",
            labels=["status"],
        )
        for index, kind in enumerate(CLASSES):
            requests.add_metric([kind], counters.requests[index], created=self._born)
            total, buckets = 0, []
            for bound, count in zip([*map(str, LATENCY_S), "+Inf"], counters.latency_s[index], strict=True):
                total += count
                buckets.append((bound, float(total)))
            latency.add_metric([kind], buckets, counters.latency_sum_s[index])
            latency.samples.append(Sample(f"{name}_created", {"status": kind}, self._born))
        yield requests
        yield latency

    def _totals(self) -> Iterator[Metric]:
        fleet, counters = self._context.fleet, self._context.counters
        for name, value, text in (
            ("bytes_in", counters.bytes_in, "Bytes of request bodies received from clients; its rate is the load"),
            ("bytes_out", counters.bytes_out, "Bytes of answer bodies sent to clients"),
            ("connections", counters.connections, "Client connections accepted or refused"),
            (
                "connections_refused",
                counters.connections_refused,
                "Client connections refused over the limit: add balancers, or raise SNAPSURGE_LB_CONNECTIONS_MAX",
            ),
            (
                "heads_refused",
                counters.heads_refused,
                "Request heads refused as invalid or too slow; many of them are an attack or a broken client",
            ),
            ("retries", counters.retries, "Requests sent again or moved to another node"),
            ("lost", counters.lost, "Node connections lost before the answer was complete; a node died or stopped"),
            ("pooled", counters.pooled, "Requests sent on a pooled node connection"),
            ("spills", fleet.spills, "Requests placed at another node because their home was full; many: add nodes"),
            (
                "retries_denied",
                fleet.retries_denied,
                "Requests not moved because the retry budget was spent: many nodes fail at once",
            ),
        ):
            yield CounterMetricFamily(f"snapsurge_lb_{name}", text, value, created=self._born)
        tickets = CounterMetricFamily(
            "snapsurge_lb_tickets",
            "Tickets issued (`given`; `early` with a 104), and tickets redeemed: `honoured`, or why not. `foreign`: "
            "the secrets of balancers differ; `ahead`: their clocks differ; `given` less `honoured`: pairs that have "
            "not come back",
            labels=["outcome"],
        )
        for outcome, count in counters.tickets.items():
            tickets.add_metric([outcome], count, created=self._born)
        yield tickets
        holders = CounterMetricFamily(
            "snapsurge_lb_holders",
            "Requests whose path names a node: it was `asked`, or the request went by its key because that node was "
            "`away` or `unknown`; many of these: nodes died or left with uploads, or paths are invented",
            labels=["outcome"],
        )
        for outcome, count in self._context.holders.counts.items():
            holders.add_metric([outcome], count, created=self._born)
        yield holders

    def _states(self) -> Iterator[Metric]:
        fleet = self._context.fleet
        size = sum(node.bytes_in_flight for node in fleet.nodes.values())
        for name, value, text in (
            ("clients", len(self._connections.clients), "Open client connections"),
            (
                "expected",
                self._connections.expected,
                "Connections in TLS handshake or PROXY header, or redirected to https",
            ),
            ("in_flight", fleet.in_flight, "Requests that nodes are serving now"),
            ("in_flight_bytes", size, "Announced body bytes of the requests in flight"),
            (
                "panic",
                int(fleet.panic),
                "1 in panic mode: more than half of the nodes' weight is ejected, health is ignored; see /nodes",
            ),
            ("draining", int(self._context.draining), "1 while the balancer drains"),
            (
                "not_ready",
                int(self._context.draining or not fleet.ready),
                "1 while /readyz answers 503: the balancer drains, or knows no node that can take requests (`/nodes`)",
            ),
            (
                "files_needed",
                files_needed(self._context.config),
                "Descriptors that its limits can need; above process_max_fds: lower SNAPSURGE_LB_CONNECTIONS_MAX",
            ),
        ):
            yield GaugeMetricFamily(f"snapsurge_lb_{name}", text, value)
        if ends_s := self._context.certificate_ends_s:
            yield GaugeMetricFamily(
                "snapsurge_lb_certificate_expires_seconds",
                "Unix time at which the TLS certificate expires; replace its file before, it is read again",
                ends_s(),
            )

    def _nodes(self) -> Iterator[Metric]:
        fleet, pool = self._context.fleet, self._context.pool
        families: list[Metric] = []

        def gauge(name: str, text: str) -> GaugeMetricFamily:
            families.append(family := GaugeMetricFamily(f"snapsurge_lb_node_{name}", text, labels=["node"]))
            return family

        def counter(name: str, text: str) -> CounterMetricFamily:
            families.append(family := CounterMetricFamily(f"snapsurge_lb_node_{name}", text, labels=["node"]))
            return family

        up = gauge("up", "1 while this balancer considers the node healthy; 0: look at the node, `/nodes` says why")
        busy = gauge("in_flight", "Requests in flight at the node")
        busy_bytes = gauge("in_flight_bytes", "Announced body bytes of the requests in flight at the node")
        share = gauge("ring_share", "Part of all keys whose home is the node, 0 to 1; the same at all balancers")
        answer = gauge("answer_seconds", "Answer time of the node in seconds (peak EWMA)")
        starting = gauge("starting", "Part of its share that a slow start has reached, 0 to 1")
        idle = gauge("idle_connections", "Idle connections to the node")
        ejections = counter("ejections", "Times that the node was ejected")
        requests = counter("requests", "Requests sent to the node")
        connects = counter("connects", "Connections to the node tried")
        errors = counter("connect_errors", "Connections to the node that failed")
        for name, node in fleet.nodes.items():
            up.add_metric([name], int(node.health.state is State.HEALTHY))
            busy.add_metric([name], node.in_flight)
            busy_bytes.add_metric([name], node.bytes_in_flight)
            share.add_metric([name], fleet.shares.get(name, 0.0))
            answer.add_metric([name], node.ewma_s)
            starting.add_metric([name], node.ramp / RAMP_FULL)
            idle.add_metric([name], pool.idle(node))
            created = self._to_unix + node.born
            ejections.add_metric([name], node.health.ejections, created=created)
            requests.add_metric([name], node.requests, created=created)
            connects.add_metric([name], node.connects, created=created)
            errors.add_metric([name], node.connect_errors, created=created)
        yield from families


def registry(connections: Connections) -> CollectorRegistry:
    """A registry of its own, so that two balancers in one process do not share metrics."""
    found = CollectorRegistry()
    found.register(BalancerCollector(connections))
    ProcessCollector(registry=found)
    return found
