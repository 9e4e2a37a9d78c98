"""lb.placement.policy: who serves a key, given its order and the loads."""

import random
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lb.placement.policy import POLICIES, Bound, Choice, FleetLoad, cap

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # no test asserts a duration

BOUND = Bound(125, 1000)


@dataclass(eq=False)
class Candidate:
    """A node as policies see it."""

    load: int = 0
    weight: int = 1
    zone: str = ""
    in_flight: int = 0
    ewma_s: float = 0.0


def pick(policy: str, *order: Candidate, turn: int = 0, zone: str = "", far: int = 0, size: int = 1) -> Candidate:
    """The choice of a policy, the fleet_load being the order itself; `far` is the weight of this zone that is down."""
    load = sum(node.load for node in order) + size
    near = sum(node.weight for node in order if node.zone == zone) + far
    fleet_load = FleetLoad(load, sum(node.weight for node in order), near)
    choice = Choice(lambda: iter(order), list(order), fleet_load=fleet_load, bound=BOUND, turn=turn, zone=zone)
    return POLICIES[policy](choice)


def test_an_idle_system_never_spills() -> None:
    """Under the floor the home takes everything, however uneven that is."""
    home, other = Candidate(999), Candidate(0)

    assert pick("ring", home, other) is home
    home.load = 1000
    assert pick("ring", home, other) is other


def test_a_full_home_spills_in_the_order_of_the_key() -> None:
    """Over the bound the next of the key's own order serves."""
    home, second, third = Candidate(10_000), Candidate(2000), Candidate(0)

    assert pick("ring", home, second, third) is second
    assert pick("ring", home, third, second) is third


@UNHURRIED
@given(st.lists(st.tuples(st.integers(1, 10**9), st.integers(1, 4)), min_size=1, max_size=8), st.integers(1, 10**8))
def test_somebody_is_always_under_the_bound(nodes: list[tuple[int, int]], size: int) -> None:
    """For any load a node is found, and it is within its bound."""
    order = [Candidate(load, weight=weight) for load, weight in nodes]
    load, weights = sum(node.load for node in order) + size, sum(node.weight for node in order)

    chosen = pick("ring", *order, size=size)

    assert chosen.load < cap(chosen.weight, load, weights, BOUND)


@settings(UNHURRIED, max_examples=40)
@given(st.integers(1, 6), st.integers(2, 12), st.integers())
def test_the_bounds_of_several_balancers_add_up(balancers: int, count: int, seed: int) -> None:
    """Each keeps its own bound over its own bytes; the sum keeps the same bound, plus one request a balancer."""
    largest, rng = 5_000_000, random.Random(seed)
    totals = [0] * count
    for _ in range(balancers):
        mine = [Candidate() for _ in range(count)]
        for _ in range(rng.randrange(300)):
            order = rng.sample(mine, count) if rng.random() < 0.5 else mine  # half of all keys have one home
            size = rng.randint(1, largest)
            pick("ring", *order, size=size).load += size
        totals = [total + node.load for total, node in zip(totals, mine, strict=True)]

    assert max(totals) <= 1.25 * sum(totals) / count + balancers * (largest + BOUND.floor)


def test_ip_hash_stays_at_home_however_full_it_is() -> None:
    """Affinity before balance."""
    home, other = Candidate(10**9), Candidate(0)

    assert pick("ip-hash", home, other) is home


def test_round_robin_takes_turns() -> None:
    """Each node once in a round."""
    nodes = [Candidate() for _ in range(3)]

    assert [pick("round-robin", *nodes, turn=turn) for turn in range(6)] == nodes * 2


def test_weighted_turns_follow_weights_evenly() -> None:
    """A node of weight three gets three quarters, and never waits for more than two turns of the other."""
    light, heavy = Candidate(weight=1), Candidate(weight=3)
    chosen = [pick("weighted", light, heavy, turn=turn) for turn in range(4000)]

    assert abs(Counter(chosen)[heavy] - 3000) <= 4
    assert all(heavy in chosen[at : at + 3] for at in range(3990))


def test_least_connections_counts_requests_for_their_weight() -> None:
    """The idle one first; a node twice as heavy carries twice as many; equals take turns."""
    busy, idle, heavy = Candidate(in_flight=3), Candidate(in_flight=1), Candidate(in_flight=4, weight=2)

    assert pick("least-connections", busy, idle, heavy) is idle
    idle.in_flight = 2
    assert pick("least-connections", busy, heavy) is heavy
    assert {pick("least-connections", *(Candidate(), Candidate()), turn=turn).load for turn in range(2)} == {0}
    equals = [Candidate(), Candidate()]
    assert [pick("least-connections", *equals, turn=turn) for turn in range(2)] == equals


def test_peak_ewma_avoids_the_slow_and_the_busy() -> None:
    """A ten times slower node serves once the fast one has ten times as much; a new one is tried, not flooded."""
    slow, fast, new = Candidate(ewma_s=1.0), Candidate(ewma_s=0.1, in_flight=5), Candidate()

    assert pick("peak-ewma", slow, fast) is fast
    fast.in_flight = 20
    assert pick("peak-ewma", slow, fast) is slow
    assert pick("peak-ewma", slow, fast, new) is new
    new.in_flight = 5000
    assert pick("peak-ewma", slow, fast, new) is slow


def test_zone_aware_stays_near_until_near_is_full() -> None:
    """The key's own order within the zone; what a crippled zone cannot take goes to the others."""
    far, near, next_door = Candidate(zone="b"), Candidate(zone="a"), Candidate(zone="a")

    assert pick("zone-aware", far, near, next_door, zone="a") is near
    near.load = 5000
    assert pick("zone-aware", far, near, next_door, zone="a") is next_door
    assert pick("zone-aware", far, near, zone="a", far=9) is far
    assert pick("zone-aware", far, near, zone="nowhere") is far


@pytest.mark.parametrize("policy", POLICIES)
def test_one_node_serves_whatever_the_policy(policy: str) -> None:
    """Alone, full, far away: there is no other."""
    only = Candidate(10**12, zone="b", in_flight=10**6, ewma_s=99.0)

    assert pick(policy, only, turn=7, zone="a") is only
