"""lb.relay.counters: totals by status class."""

from lb.relay.counters import LATENCY_S, Counters


def test_answers_are_counted_by_class_and_latency() -> None:
    """A status goes to its class, 0 to the clients that left; latencies fall into their buckets, edges included."""
    counters = Counters()
    counters.finished(201, 0.001)
    counters.finished(503, 999.0)
    counters.finished(0, 0.002)

    assert counters.requests == [1, 0, 1, 0, 0, 1]
    assert counters.latency_s[2][0] == 1
    assert counters.latency_s[5][len(LATENCY_S)] == 1
    assert counters.latency_sum_s[5] == 999.0
