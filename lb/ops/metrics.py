"""The balancer's Prometheus metrics, collected from plain counters only when somebody scrapes."""

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
    """Reads one proxy."""

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
            "snapsurge_lb_request_seconds", "From head read to answer relayed", labels=["status"]
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
        yield CounterMetricFamily("snapsurge_lb_bytes_in", "Body bytes from clients", counters.bytes_in)
        yield CounterMetricFamily("snapsurge_lb_bytes_out", "Body bytes to clients", counters.bytes_out)
        yield CounterMetricFamily("snapsurge_lb_connections", "Connections accepted", counters.connections)
        yield CounterMetricFamily("snapsurge_lb_connections_refused", "Over the limit", counters.connections_refused)
        yield CounterMetricFamily("snapsurge_lb_heads_refused", "Heads that made no request", counters.heads_refused)
        yield CounterMetricFamily("snapsurge_lb_retries", "Requests moved to another node", counters.retries)
        yield CounterMetricFamily("snapsurge_lb_lost", "Node connections lost before the answer", counters.lost)
        yield CounterMetricFamily("snapsurge_lb_pooled", "Requests sent on a pooled connection", counters.pooled)
        tickets = CounterMetricFamily("snapsurge_lb_tickets", "Given, and brought back by worth", labels=["outcome"])
        for outcome, count in counters.tickets.items():
            tickets.add_metric([outcome], count)
        yield tickets
        yield GaugeMetricFamily("snapsurge_lb_clients", "Client connections open", len(self._connections.clients))
        yield GaugeMetricFamily(
            "snapsurge_lb_expected", "Connections in a handshake or PROXY header", self._connections.expected
        )
        yield GaugeMetricFamily("snapsurge_lb_in_flight", "Requests at nodes", fleet.in_flight)
        size = sum(node.bytes_in_flight for node in fleet.nodes.values())
        yield GaugeMetricFamily("snapsurge_lb_in_flight_bytes", "Declared bodies of requests at nodes", size)
        yield CounterMetricFamily("snapsurge_lb_spills", "Requests past a full home", fleet.spills)
        yield CounterMetricFamily("snapsurge_lb_retries_denied", "Moves over the budget", fleet.retries_denied)
        yield GaugeMetricFamily("snapsurge_lb_panic", "1 while the ejected are used, being most", int(fleet.panic))
        yield GaugeMetricFamily("snapsurge_lb_draining", "1 while draining", int(self._context.draining))

    def _nodes(self) -> Iterator[Metric]:
        fleet, pool = self._context.fleet, self._context.pool
        families: list[Metric] = []

        def gauge(name: str, text: str) -> GaugeMetricFamily:
            families.append(family := GaugeMetricFamily(f"snapsurge_lb_node_{name}", text, labels=["node"]))
            return family

        def counter(name: str, text: str) -> CounterMetricFamily:
            families.append(family := CounterMetricFamily(f"snapsurge_lb_node_{name}", text, labels=["node"]))
            return family

        up, busy = gauge("up", "1 if healthy"), gauge("in_flight", "Requests there")
        busy_bytes, share = gauge("in_flight_bytes", "Declared bodies there"), gauge("ring_share", "Part of the ring")
        answer, starting = gauge("answer_seconds", "Peak EWMA"), gauge("starting", "Part of its share, 0 to 1")
        idle = gauge("idle_connections", "Pooled connections")
        ejections, requests = counter("ejections", "Times taken out"), counter("requests", "Requests sent there")
        connects, errors = counter("connects", "Connections tried"), counter("connect_errors", "Connections failed")
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
    """A registry of its own, so that two proxies in one process do not meet."""
    found = CollectorRegistry()
    found.register(BalancerCollector(connections))
    return found
