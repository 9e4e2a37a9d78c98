"""lb.placement.node: what is kept of one node."""

from lb.placement.health import Thresholds, newcomer
from lb.placement.node import EWMA_S, RAMP_FULL, Member, Node


def node(address: str = "127.0.0.1:9") -> Node:
    """A node just heard of."""
    return Node(Member(id="a", address=address), newcomer(now=0.0, checked=False, thresholds=Thresholds()))


def test_addresses_are_host_and_port() -> None:
    """IPv6 without its brackets."""
    assert (node().host, node().port) == ("127.0.0.1", 9)
    assert node("[::1]:80").host == "::1"


def test_a_slow_start_goes_up_in_steps_to_the_full_share() -> None:
    """From the first step at once to all of them at the end, and no further."""
    found = node()
    assert found.ramp == RAMP_FULL
    found.begin_ramp(100.0)
    steps = []
    for now in (100.0, 105.0, 110.0, 500.0):
        found.ramp_up(now, 10.0)
        steps.append(found.ramp)

    assert steps == [1, 129, RAMP_FULL, RAMP_FULL]


def test_a_slow_answer_counts_at_once_and_is_forgotten_slowly() -> None:
    """Peak EWMA: up in one step, down by the time constant."""
    found = node()
    found.answered(0.1, 0.0)
    found.answered(2.0, 1.0)
    assert found.ewma_s == 2.0
    found.answered(0.1, 1.0 + EWMA_S)
    assert 0.7 < found.ewma_s < 0.9
    found.answered(0.1, 1.0 + 20 * EWMA_S)
    assert found.ewma_s < 0.101
