"""The balancer's Prometheus metrics, read from counters at each scrape."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from ..placement.health import State
from ..placement.node import RAMP_FULL
from ..relay.connections import Connections
from ..relay.counters import LATENCY_S

CLASSES = ("gone", "1xx", "2xx", "3xx", "4xx", "5xx")


class BalancerCollector(Collector):
    """Collects the metrics of one process."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._context = connections.context

    def collect(self) -> Iterator[Metric]:
        """All families, names starting with `snapsurge_lb_`."""
        yield from self._requests()
        yield from self._totals()
        yield from self._nodes()

    def _requests(self) -> Iterator[Metric]:
        counters = self._context.counters
        requests = CounterMetricFamily("snapsurge_lb_requests", "Requests by status class", labels=["status"])
        latency = HistogramMetricFamily(
            "snapsurge_lb_request_seconds", "Seconds from the request head to the end of the answer", labels=["status"]
        )
        for index, kind in enumerate(CLASSES):
            requests.add_metric([kind], counters.requests[index])
            total, buckets = 0, []
            for bound, count in zip([*map(str, LATENCY_S), "+Inf"], counters.latency_s[index], strict=True):
                total += count
                buckets.append((bound, float(total)))
            latency.add_metric([kind], buckets, counters.latency_sum_s[index])
        yield requests
        yield latency

    def _totals(self) -> Iterator[Metric]:
        fleet, counters = self._context.fleet, self._context.counters

        def total(name: str, value: float, text: str) -> CounterMetricFamily:
            return CounterMetricFamily(f"snapsurge_lb_{name}", text, value)

        def now(name: str, value: float, text: str) -> GaugeMetricFamily:
            return GaugeMetricFamily(f"snapsurge_lb_{name}", text, value)

        yield total("bytes_in", counters.bytes_in, "Bytes of request bodies received from clients")
        yield total("bytes_out", counters.bytes_out, "Bytes of answer bodies sent to clients")
        yield total("connections", counters.connections, "Client connections accepted or refused")
        yield total("connections_refused", counters.connections_refused, "Client connections refused over the limit")
        yield total("heads_refused", counters.heads_refused, "Request heads refused as invalid or too slow")
        yield total("retries", counters.retries, "Requests sent again or moved to another node")
        yield total("lost", counters.lost, "Node connections lost before the answer was complete")
        yield total("pooled", counters.pooled, "Requests sent on a pooled node connection")
        text = "Tickets issued, and tickets redeemed, by outcome"
        tickets = CounterMetricFamily("snapsurge_lb_tickets", text, labels=["outcome"])
        for outcome, count in counters.tickets.items():
            tickets.add_metric([outcome], count)
        yield tickets
        yield now("clients", len(self._connections.clients), "Open client connections")
        yield now("expected", self._connections.expected, "Connections in TLS handshake or PROXY header, or redirected")
        yield now("in_flight", fleet.in_flight, "Requests in flight at nodes")
        size = sum(node.bytes_in_flight for node in fleet.nodes.values())
        yield now("in_flight_bytes", size, "Announced body bytes of the requests in flight")
        yield total("spills", fleet.spills, "Requests placed at another node because their home was full")
        yield total("retries_denied", fleet.retries_denied, "Requests not moved because the retry budget was spent")
        yield now("panic", int(fleet.panic), "1 while the balancer is in panic mode")
        yield now("draining", int(self._context.draining), "1 while the balancer drains")
        if ends_s := self._context.certificate_ends_s:
            yield now("certificate_expires_seconds", ends_s(), "Unix time at which the TLS certificate expires")

    def _nodes(self) -> Iterator[Metric]:
        fleet, pool = self._context.fleet, self._context.pool
        families: list[Metric] = []

        def gauge(name: str, text: str) -> GaugeMetricFamily:
            families.append(family := GaugeMetricFamily(f"snapsurge_lb_node_{name}", text, labels=["node"]))
            return family

        def counter(name: str, text: str) -> CounterMetricFamily:
            families.append(family := CounterMetricFamily(f"snapsurge_lb_node_{name}", text, labels=["node"]))
            return family

        up = gauge("up", "1 while the node is healthy")
        busy = gauge("in_flight", "Requests in flight at the node")
        busy_bytes = gauge("in_flight_bytes", "Announced body bytes of the requests in flight at the node")
        share = gauge("ring_share", "Part of all keys whose home is the node, 0 to 1")
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
            ejections.add_metric([name], node.health.ejections)
            requests.add_metric([name], node.requests)
            connects.add_metric([name], node.connects)
            errors.add_metric([name], node.connect_errors)
        yield from families


def registry(connections: Connections) -> CollectorRegistry:
    """A registry of its own, so that two balancers in one process do not share metrics."""
    found = CollectorRegistry()
    found.register(BalancerCollector(connections))
    return found
