"""A world is made from a fleet's file, costs and arrivals."""

import numpy as np
import pytest

from bench.simulation.building import hosts_of
from bench.simulation.fleet import Fleet, FleetError, Machines
from bench.simulation.world import BOUND_FLOOR, LB, NODE, STORE, WORKER
from lb.placement.slots import MEMBERS_MAX
from storage.queue.lease import FAIR_TURNS
from tests.unit.bench.simulation.simulated import costs, fleet, play, poisson


def test_processes_stand_on_their_machines() -> None:
    """Machines of a kind are in zones in turn."""
    kinds = {"a": Machines(count=3, cores=2, node=2, zones=2), "b": Machines(cores=4, lb=1, worker=3)}
    hosts = hosts_of(Fleet(machines=kinds))
    assert hosts.of["node"] == [0, 0, 1, 1, 2, 2]
    assert (hosts.of["lb"], hosts.of["worker"]) == ([3], [3, 3, 3])
    assert (hosts.cores, hosts.zones) == ([2, 2, 2, 4], [0, 1, 0, 0])


def test_more_nodes_than_a_ring_takes_are_refused() -> None:
    """The limit is that of the balancers, from both sides."""
    hosts_of(Fleet(machines={"a": Machines(count=MEMBERS_MAX, cores=1, node=1)}))
    with pytest.raises(FleetError, match="room for 1023"):
        hosts_of(Fleet(machines={"a": Machines(count=MEMBERS_MAX + 1, cores=1, node=1)}))


def test_costs_and_settings_reach_the_world() -> None:
    """CPU by tier, a distribution at even steps, a setting, the worker's drain line."""
    of = fleet(settings={"SNAPSURGE_LB_BOUND_FLOOR_BYTES": "1000", "SNAPSURGE_INGEST_IN_FLIGHT_BYTES_MAX": "77"})
    w = play(poisson(10, 5), of=of, cost=costs(node_ms=3.0, render_ms=40.0, spread=(0.5, 1.5))).world
    assert w.costs[[LB, NODE, WORKER, STORE], 0].tolist() == pytest.approx([1e-4, 3e-3, 4e-2, 0.0])
    assert w.spreads[WORKER][[0, 50, 100]].tolist() == pytest.approx([0.5, 1.0, 1.5])
    assert w.spreads[LB].tolist() == [1.0] * 101
    assert w.numbers[BOUND_FLOOR] == 1000
    assert (w.nodes["bytes_max"] == 77).all()
    assert w.nodes["open"].all()


def test_an_unknown_kind_of_store_is_refused() -> None:
    """The text says which kinds were measured."""
    with pytest.raises(FleetError, match="no store of the kind tape, only file"):
        play(poisson(10, 5), of=Fleet(machines=fleet().machines, store="tape"))


def test_a_node_has_a_part_of_its_machines_memory() -> None:
    """An eighth, as `ingest/memory.py` decides; without a known memory there is enough."""
    machines = {"a": Machines(cores=2, lb=1, node=1, worker=1, memory_gib=800 / 1024)}
    w = play(poisson(10, 5), of=Fleet(machines=machines, store="file", settings=fleet().settings)).world
    assert w.nodes["bytes_max"].tolist() == [100 * 2**20]
    assert play(poisson(10, 5)).world.nodes["bytes_max"][0] > 2**38


def test_turns_give_other_classes_the_lead_now_and_then() -> None:
    """One turn in sixteen begins with another queue, by the rule of the lease."""
    orders = play(poisson(10, 5)).world.orders
    usual = np.array([0, 1, 2])
    assert (orders[: FAIR_TURNS - 1] == usual).all()
    assert {tuple(order) for order in orders.tolist()} == {(0, 1, 2), (1, 0, 2), (2, 0, 1)}
