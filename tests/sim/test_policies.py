"""All placement policies in one simulation: nodes slow down, die, flap and join, on a virtual clock."""

from collections import defaultdict

import pytest

from lb.placement.health import State
from lb.placement.policy import POLICIES, Bound
from tests.sim.world import MIB, World

SEEDS = (1, 20_261_121)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("policy", POLICIES)
def test_whatever_happens_each_request_ends_once_and_the_books_are_even(policy: str, seed: int) -> None:
    """With slow, dead, flapping and joining nodes, only requests in flight at a death are lost; none is refused."""
    world = World(seed, policy=policy, balancers=2)
    world.traffic(per_s=60, until=60)
    world.at(10, lambda: setattr(world.upstreams["n1"], "slow", 4.0))
    world.at(20, lambda: world.die("n2"))
    world.at(30, lambda: world.rise("n2"))
    world.at(35, lambda: world.join("n6"))
    for second in range(40, 56, 4):
        world.at(second, lambda: world.die("n3"))
        world.at(second + 2, lambda: world.rise("n3"))
    world.run(300)
    outcomes = world.outcomes()
    print(  # noqa: T201 - the table of policies, for `pytest -s`
        f"{policy:<18} served {outcomes['served']} lost {outcomes['lost']} "
        f"p50 {world.percentile(0.5) * 1000:.0f} ms p99 {world.percentile(0.99) * 1000:.0f} ms"
    )

    assert set(outcomes) <= {"served", "lost"}
    assert outcomes["lost"] < 0.03 * outcomes.total()
    for balancer in world.balancers:
        assert (balancer.fleet.in_flight, balancer.fleet.load) == (0, 0)
        assert all((node.in_flight, node.load) == (0, 0) for node in balancer.fleet.nodes.values())


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("policy", POLICIES)
def test_a_dead_node_is_out_after_one_refused_connection_of_each_balancer(policy: str, seed: int) -> None:
    """Or after one broken connection; a request of which no byte was sent is not affected."""
    world = World(seed, policy=policy, balancers=3)
    world.traffic(per_s=100, until=30)
    world.at(10, lambda: world.die("n2"))
    world.run(60)
    dead = world.upstreams["n2"]

    assert not [when for when in dead.reached if when > 10]
    assert len(dead.refused) <= 3
    assert world.outcomes()["refused"] == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_policies_that_look_at_load_spare_a_slow_node(seed: int) -> None:
    """Round robin does not notice a slow node; least connections, peak EWMA and the ring's bound do."""
    shares, waits = {}, {}
    for policy in ("round-robin", "least-connections", "peak-ewma", "ring"):
        world = World(seed, policy=policy)
        world.upstreams["n1"].slow = 20.0
        world.traffic(per_s=60, until=60)
        world.run(600)
        shares[policy], waits[policy] = world.shares(since=5)["n1"], world.percentile(0.99)

    assert shares["round-robin"] > 0.15
    assert shares["least-connections"] < 0.10
    assert shares["peak-ewma"] < 0.05
    assert shares["ring"] < 0.12
    assert all(waits[policy] < waits["round-robin"] for policy in ("least-connections", "peak-ewma", "ring"))


@pytest.mark.parametrize("seed", SEEDS)
def test_only_the_dead_nodes_users_move_and_they_come_home(seed: int) -> None:
    """On a lightly loaded ring, all other users keep their node, at every balancer."""
    world = World(seed, balancers=2)
    world.traffic(per_s=40, until=90, size=MIB // 16)
    world.at(30, lambda: world.die("n2"))
    world.at(50, lambda: world.rise("n2"))
    world.run(120)
    homes: dict[bytes, set[str]] = defaultdict(set)
    for request in world.requests:
        if request.begun < 29 or request.begun > 65:
            homes[request.key].add(request.node)
    away = [request for request in world.requests if request.key in homes and request.node not in homes[request.key]]

    assert all(len(nodes) == 1 for nodes in homes.values())
    assert {node for request in away for node in homes[request.key]} == {"n2"}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_joining_node_comes_to_its_share_slowly(seed: int) -> None:
    """After a quarter of the slow start the node has a quarter of its keys; no key moves between the other nodes."""
    world = World(seed, nodes=5)
    world.traffic(per_s=150, until=60, size=MIB // 16)
    world.at(20, lambda: world.join("n9"))
    world.run(90)
    early, late = world.shares(20, 24)["n9"], world.shares(32, 60)["n9"]
    homes: dict[bytes, set[str]] = defaultdict(set)
    for request in world.requests:
        homes[request.key].add(request.node)

    assert 0 < early < 0.5 * late
    assert 0.12 < late < 0.22
    assert all(len(nodes - {"n9"}) <= 1 for nodes in homes.values())


@pytest.mark.parametrize("seed", SEEDS)
def test_a_flapping_node_is_let_in_ever_more_rarely(seed: int) -> None:
    """A node that dies every six seconds gets traffic for an ever smaller part of the time, and costs ever less."""
    world = World(seed)
    world.traffic(per_s=60, until=180)
    for second in range(10, 180, 6):
        world.at(second, lambda: world.die("n2"))
        world.at(second + 1.0, lambda: world.rise("n2"))
    world.run(200)
    first, last = world.shares(10, 40)["n2"], world.shares(120, 180)["n2"]

    assert last < first / 2
    assert world.balancers[0].fleet.nodes["n2"].health.ejections < 15


@pytest.mark.parametrize("seed", SEEDS)
def test_checks_that_fail_everywhere_eject_nobody(seed: int) -> None:
    """Four of six nodes fail their checks but serve: panic mode keeps all in use, and ends when the checks pass."""
    world = World(seed)
    world.traffic(per_s=60, until=60)
    for number in range(4):
        world.at(10, lambda number=number: setattr(world.upstreams[f"n{number}"], "hung", True))
        world.at(40, lambda number=number: setattr(world.upstreams[f"n{number}"], "hung", False))
    panics = []
    for second in range(60):
        world.at(second, lambda: panics.append(world.balancers[0].fleet.panic))
    world.run(100)

    assert (panics[5], panics[30], panics[59]) == (False, True, False)
    assert min(world.shares(20, 40).values()) > 0.08
    assert world.outcomes() == {"served": len(world.requests)}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("balancers", [1, 2, 5])
def test_bounds_add_up_over_balancers(balancers: int, seed: int) -> None:
    """At no time does a node exceed its share of all bytes by more than a quarter plus one request of each balancer.

    There are few users with large uploads, so that home nodes alone would be uneven; floors are off to test the bound.
    """
    world = World(seed, balancers=balancers, bound=Bound(125, 1))
    world.traffic(per_s=120, until=30, users=12, size=MIB)
    largest = max(request.size for request in world.requests)
    over: list[float] = []

    def look() -> None:
        loads = [sum(balancer.fleet.nodes[name].load for balancer in world.balancers) for name in world.upstreams]
        over.append(max(loads) - 1.25 * sum(loads) / len(loads))

    for tenth in range(20, 300):
        world.at(tenth / 10, look)
    world.run(200)

    assert max(over) <= balancers * largest
    assert sum(balancer.fleet.spills for balancer in world.balancers) > 0


@pytest.mark.parametrize("seed", SEEDS)
def test_an_idle_system_never_spills(seed: int) -> None:
    """Below the floor, every request goes to its user's home node."""
    world = World(seed, balancers=2)
    world.traffic(per_s=5, until=60)
    world.run(90)

    assert all(request.node == world.balancers[0].fleet.home(request.key) for request in world.requests)


@pytest.mark.parametrize("seed", SEEDS)
def test_zone_aware_stays_in_its_zone_while_it_can(seed: int) -> None:
    """All requests go to the near zone; when its nodes are dead, all go to the far zone."""
    world = World(seed, policy="zone-aware", zone="near")
    world.zones = {f"n{number}": "near" if number < 3 else "far" for number in range(6)}
    world.announce()
    world.traffic(per_s=30, until=60, size=MIB // 8)
    for number in range(3):
        world.at(30, lambda number=number: world.die(f"n{number}"))
    world.run(90)
    before, after = world.shares(0, 29), world.shares(31, 60)

    assert sum(before[f"n{number}"] for number in range(3)) == 1
    assert sum(after[f"n{number}"] for number in range(3, 6)) == 1
    assert world.balancers[0].fleet.nodes["n0"].health.state is State.DEAD


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("policy", POLICIES)
def test_a_node_that_fails_alone_costs_nobody_all_tries(policy: str, seed: int) -> None:
    """The node's checks pass: users' 503s eject it, and a request that it refused is retried at another node."""
    world = World(seed, policy=policy, nodes=3, balancers=2)
    world.traffic(per_s=60, until=90)
    world.at(10, lambda: setattr(world.upstreams["n1"], "sick", 1.0))
    world.at(50, lambda: setattr(world.upstreams["n1"], "sick", 0.0))
    world.run(300)

    assert world.outcomes() == {"served": len(world.requests)}
    assert max(request.tries for request in world.requests) == 2
    assert world.shares(20, 50)["n1"] < 0.1
    assert all(balancer.fleet.nodes["n1"].health.ejections for balancer in world.balancers)
    assert {balancer.fleet.nodes["n1"].health.state for balancer in world.balancers} == {State.HEALTHY}


@pytest.mark.parametrize("seed", SEEDS)
def test_half_of_many_nodes_may_fail_and_nobody_needs_more_than_six_tries(seed: int) -> None:
    """Four of eight fail at once while their checks pass: a retry goes on along the key's order, past its first two."""
    world = World(seed, nodes=8, balancers=2)
    world.traffic(per_s=60, until=60)
    for number in range(4):
        world.at(10, lambda number=number: setattr(world.upstreams[f"n{number}"], "sick", 1.0))
    world.run(200)

    assert world.outcomes() == {"served": len(world.requests)}
    assert max(request.tries for request in world.requests) <= 5


@pytest.mark.parametrize("unready", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_an_outage_of_what_all_nodes_need_ejects_nobody_for_good(seed: int, unready: bool) -> None:  # noqa: FBT001
    """Whether the checks fail or not, all nodes are used during the outage, and all are healthy right after it."""
    world = World(seed, balancers=2)
    world.traffic(per_s=60, until=90)
    used: set[str] = set()

    def everybody(**is_now: float) -> None:
        for upstream in world.upstreams.values():
            for name, value in is_now.items():
                setattr(upstream, name, value)

    for second in range(10, 50, 5):  # The outage comes and goes, like that of an overloaded store.
        world.at(second, lambda: everybody(sick=1.0, unready=unready))
        world.at(second + 4.5, lambda: everybody(sick=0.0, unready=False))
    world.at(45, lambda: used.update(name for name, share in world.shares(20, 45).items() if share > 0.05))
    world.run(53)

    assert used == set(world.upstreams)
    for balancer in world.balancers:
        assert {node.health.state for node in balancer.fleet.nodes.values()} == {State.HEALTHY}
        assert not balancer.fleet.panic


@pytest.mark.parametrize("seed", SEEDS)
def test_overload_of_all_ejects_nobody(seed: int) -> None:
    """Every node answers four of five requests with 503 and Retry-After: no node changes its state."""
    world = World(seed, balancers=2)
    for upstream in world.upstreams.values():
        upstream.full = 0.8
    world.traffic(per_s=60, until=60)
    world.run(100)

    assert all(node.health.ejections == 0 for balancer in world.balancers for node in balancer.fleet.nodes.values())


def test_a_seed_is_a_history() -> None:
    """The same seed gives exactly the same history; another seed gives another."""

    def story(seed: int) -> list[tuple[bytes, int, str, float]]:
        world = World(seed)
        world.traffic(per_s=50, until=20)
        world.at(10, lambda: world.die("n1"))
        world.run(40)
        return [(request.key, request.size, request.node, request.took) for request in world.requests]

    assert story(1) == story(1) != story(2)
