"""What the balancer counts, as plain integers: adding one on the hot path costs an attribute, nothing more.

`metrics.py` reads them when it is asked.
"""

from bisect import bisect_left

LATENCY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
TICKETS = ("given", "honoured", "malformed", "foreign", "expired", "ahead")


class Counters:
    """Totals since start; `requests` and latencies by status class (1 to 5, 0 = the client left)."""

    __slots__ = (
        "bytes_in",
        "bytes_out",
        "connections",
        "connections_refused",
        "heads_refused",
        "latency_s",
        "latency_sum_s",
        "lost",
        "pooled",
        "requests",
        "retries",
        "tickets",
    )

    def __init__(self) -> None:
        self.bytes_in = self.bytes_out = 0
        self.connections = self.connections_refused = self.heads_refused = 0
        self.retries = self.lost = self.pooled = 0
        self.tickets = dict.fromkeys(TICKETS, 0)
        self.requests = [0] * 6
        self.latency_s = [[0] * (len(LATENCY_S) + 1) for _ in range(6)]
        self.latency_sum_s = [0.0] * 6

    def finished(self, status: int, seconds: float) -> None:
        """A request was answered with this status, or left (0)."""
        kind = status // 100
        self.requests[kind] += 1
        self.latency_s[kind][bisect_left(LATENCY_S, seconds)] += 1
        self.latency_sum_s[kind] += seconds
