"""lb.policy: who serves a key, given its order and the loads."""

from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lb.policy import Bound, Crowd, Rank, Refuse, cap, ring

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # no test asserts a duration

BOUND = Bound(125, 16)


@dataclass
class Candidate:
    """A node as policies see it."""

    in_flight: int = 0
    rank: Rank = Rank.PREFERRED
    weight: int = 1


def pick(*order: Candidate) -> Candidate | Refuse:
    """The choice of the ring policy, the crowd being the order itself."""
    weight = sum(node.weight for node in order if node.rank is Rank.PREFERRED)
    return ring(order, Crowd(sum(node.in_flight for node in order), weight), BOUND)


def test_an_idle_system_never_spills() -> None:
    """Under the floor the home takes everything, however uneven that is."""
    home, other = Candidate(15), Candidate(0)

    assert pick(home, other) is home


def test_a_full_home_spills_in_the_order_of_the_key() -> None:
    """Over the bound the next of the key's own order serves."""
    home, second, third = Candidate(100), Candidate(20), Candidate(0)

    assert pick(home, second, third) is second
    assert pick(home, third, second) is third


def test_suspect_nodes_are_the_last_resort_and_dead_ones_none() -> None:
    """Only when nobody healthy is left are doubtful nodes used; dead ones never."""
    dead, doubtful, healthy = Candidate(rank=Rank.NEVER), Candidate(rank=Rank.LAST_RESORT), Candidate(10_000)

    assert pick(dead, doubtful, healthy) is healthy
    assert pick(dead, doubtful) is doubtful
    assert isinstance(pick(dead), Refuse)
    assert isinstance(pick(), Refuse)


@UNHURRIED
@given(st.lists(st.tuples(st.integers(1, 500), st.integers(1, 4)), min_size=1, max_size=8))
def test_somebody_is_always_under_the_bound(nodes: list[tuple[int, int]]) -> None:
    """For any load a preferred node is found, and it is within its bound."""
    order = [Candidate(load, weight=weight) for load, weight in nodes]
    crowd = Crowd(sum(node.in_flight for node in order), sum(node.weight for node in order))

    chosen = ring(order, crowd, BOUND)

    assert isinstance(chosen, Candidate)
    assert chosen.in_flight < cap(chosen.weight, crowd, BOUND)
