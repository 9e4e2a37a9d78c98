"""What binds first, on given machines."""

import msgspec
import numpy as np
import pytest

from bench.capacity.bounds import Bound
from bench.capacity.hosts import Host, bindings, largest, machines, processes
from tests.unit.bench.capacity.measured import AIMS

HOSTS = {
    "front": Host(count=2, cores=4.0, processes={"lb": 2, "node": 2}),
    "back": Host(count=3, cores=4.0, memory_gib=1.0, nic_gbit=10.0, processes={"worker": 4}),
}


def bound(tier: str, resource: str, need: float, each: float, per: str = "process", *, fixed: bool = False) -> Bound:
    """One resource."""
    unit = {"CPU": "cores", "network": "Gbit/s", "memory": "MiB"}.get(resource, "x")
    return Bound(tier=tier, resource=resource, unit=unit, need=np.array([need]), each=each, per=per, fixed=fixed)


def test_processes_and_machines_of_a_tier_are_counted() -> None:
    """On every kind of machine."""
    assert (processes(HOSTS, "lb"), machines(HOSTS, "lb")) == (4, 2)
    assert (processes(HOSTS, "worker"), machines(HOSTS, "redis")) == (12, 0)


def test_the_fullest_comes_first() -> None:
    """4 balancers of 0.5 for 1.6 cores: 1.25; 12 workers of 0.5 for 3: 2."""
    found = bindings([bound("worker", "CPU", 3, 0.5), bound("lb", "CPU", 1.6, 0.5)], HOSTS, AIMS)
    assert [(one.resource, one.headroom) for one in found[:2]] == [("lb CPU", 1.25), ("worker CPU", 2.0)]
    assert largest(found) == 1.25


def test_tiers_share_the_cores_of_a_machine() -> None:
    """Two machines of 4 cores, half used: 4 cores, for 1 of balancers and 3 of nodes."""
    found = bindings([bound("lb", "CPU", 1, 9.0), bound("node", "CPU", 3, 9.0)], HOSTS, AIMS)
    (shared,) = [one for one in found if one.resource == "front machines' CPU"]
    assert (shared.limit, shared.need, shared.headroom) == (4.0, 4.0, 1.0)


def test_memory_and_network_count_where_they_are_known() -> None:
    """Those of `front` are not."""
    found = bindings(
        [bound("worker", "network", 30, 1, "machine"), bound("node", "network", 9, 1, "machine")], HOSTS, AIMS
    )
    assert [(one.resource, one.headroom) for one in found] == [("back machines' network", 0.5)]


def test_a_store_of_others_binds_by_its_quotas_only() -> None:
    """It has no machine here."""
    found = bindings(
        [bound("store", "disk", 1, 1, "machine"), bound("store", "PUT requests", 2, 3, "whole")], HOSTS, AIMS
    )
    assert [one.resource for one in found] == ["store PUT requests"]


def test_a_tier_without_a_process_takes_nothing() -> None:
    """Its headroom is zero."""
    assert largest(bindings([bound("redis", "CPU", 1, 0.5)], HOSTS, AIMS)) == 0.0


@pytest.mark.parametrize(("need", "times"), [(0.9, 1.25), (1.0, 1.25), (1.1, 0.0)])
def test_a_load_of_the_fleet_itself_does_not_grow_with_the_burst(need: float, times: float) -> None:
    """It fits, or nothing does."""
    found = bindings(
        [bound("lb", "CPU", 1.6, 0.5), bound("redis", "heartbeats", need, 1.0, "whole", fixed=True)], HOSTS, AIMS
    )
    assert largest(found) == times


def test_less_utilisation_is_less_headroom() -> None:
    """In proportion, for what is shared."""
    half = msgspec.structs.replace(AIMS, utilisation=0.25)
    need = [bound("node", "CPU", 3, 9.0)]
    assert largest(bindings(need, HOSTS, half)) == largest(bindings(need, HOSTS, AIMS)) / 2


@pytest.mark.parametrize(("process", "times"), [(25.0, 1.06), (64.0, 0.5), (128.0, 0.0), (129.0, 0.0)])
def test_memory_of_started_processes_is_not_there_for_the_burst(process: float, times: float) -> None:
    """Three machines of 1 GiB, half used, with four workers each: 1,536 MiB, of which twelve processes take theirs."""
    need = 1536 - 12 * 25 if times > 1 else 1536.0
    memory = bound("worker", "memory", need / 1.06 if times > 1 else need, 1.0, "machine")
    found = bindings([msgspec.structs.replace(memory, process=process)], HOSTS, AIMS)
    assert largest(found) == pytest.approx(times)
    idle = next(one for one in found if one.resource == "back machines' memory, no load")
    assert (idle.need, idle.limit, idle.fixed) == (12 * process, 1536, True)
