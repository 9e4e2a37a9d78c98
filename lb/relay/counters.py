"""The counters of a process, as integers: counting on the hot path costs one attribute. `ops/metrics.py` reads them."""

import math
from bisect import bisect_left
from itertools import pairwise

LATENCY_ERROR_MAX = 0.2


def _fine(*bounds: float) -> tuple[float, ...]:
    """These bounds and as few as needed between them, so that no bucket is wider than a fifth of its lower bound."""
    made = [bounds[0]]
    for low, high in pairwise(bounds):
        steps = math.ceil(math.log(high / low) / math.log(1 + LATENCY_ERROR_MAX))
        made += [float(f"{low * (high / low) ** (step / steps):.3g}") for step in range(1, steps + 1)]
    return tuple(made)


# A percentile between 10 ms and 300 s is known to 20 %. The given bounds are those of earlier versions, which queries
# and alerts may name.
LATENCY_S = (
    *(0.001, 0.0025, 0.005),
    *_fine(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0),
)
TICKETS = ("given", "early", "honoured", "malformed", "foreign", "expired", "ahead")


class Counters:
    """Totals since start; requests and latencies by status class (1 to 5, and 0 = the client left)."""

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
        """Count a request that ended with this status; 0 when the client left."""
        kind = status // 100
        self.requests[kind] += 1
        self.latency_s[kind][bisect_left(LATENCY_S, seconds)] += 1
        self.latency_sum_s[kind] += seconds
