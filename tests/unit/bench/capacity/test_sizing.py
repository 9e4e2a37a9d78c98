"""Processes and machines, and those that may be lost."""

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.capacity.bounds import Bound
from bench.capacity.sizing import SizeError, host, lost, redis, size
from tests.unit.bench.capacity.measured import AIMS

UNHURRIED = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def bound(need: float, each: float, per: str = "process", resource: str = "CPU", tier: str = "node") -> Bound:
    """A resource that is needed most in the second of two seconds."""
    return Bound(tier=tier, resource=resource, unit="", need=np.array([need / 2, need]), each=each, per=per)


def test_the_dearest_resource_decides() -> None:
    """9 processes by CPU, 12 by connections: 3 machines of 4 cores, and one that may be lost."""
    found = size("node", [bound(4.5, 0.5), bound(1200, 100, resource="uploads in flight")], AIMS)
    assert (found.processes_needed, found.machines_needed, found.machines, found.processes) == (12, 3, 4, 16)
    assert (found.cores, found.binds) == (4.5, "uploads in flight")
    assert found.needed.tolist() == [6, 12]


def test_a_resource_of_the_machine_can_decide() -> None:
    """One process by CPU, but the network of three machines."""
    found = size("node", [bound(0.1, 0.5), bound(30, 10, "machine", "network")], AIMS)
    assert (found.machines, found.processes, found.binds) == (4, 4, "network")


@pytest.mark.parametrize(
    ("machines", "spare", "zones", "planned"),
    [(3, 0, 0, 3), (3, 1, 0, 4), (3, 1, 3, 5), (4, 0, 3, 6), (4, 0, 2, 8), (1, 0, 3, 2), (9, 5, 3, 14), (3, 0, 1, 3)],
)
def test_what_may_be_lost_is_added(machines: int, spare: int, zones: int, planned: int) -> None:
    """So many machines, or one zone of several, whichever is more."""
    assert lost(machines, msgspec.structs.replace(AIMS, spare=spare, zones=zones)) == planned


@UNHURRIED
@given(st.integers(1, 500), st.integers(0, 5), st.integers(0, 6))
def test_after_a_loss_enough_is_left(machines: int, spare: int, zones: int) -> None:
    """Without the spare machines, or without the largest zone."""
    planned = lost(machines, msgspec.structs.replace(AIMS, spare=spare, zones=zones))
    assert planned - spare >= machines
    if zones > 1:
        assert planned - -(-planned // zones) >= machines - 1  # the largest of zones that differ by one machine
        assert planned * (zones - 1) / zones >= machines


@UNHURRIED
@given(st.floats(0.1, 1000), st.floats(1, 3))
def test_more_load_is_never_fewer_machines(need: float, times: float) -> None:
    """Monotone."""
    assert size("node", [bound(need * times, 0.5)], AIMS).machines >= size("node", [bound(need, 0.5)], AIMS).machines


def memory(need: float, each: float, process: float, tier: str = "node") -> Bound:
    """Memory of a machine: the burst's need, what a machine has, a process's own."""
    found = bound(need, each, "machine", "memory", tier)
    return msgspec.structs.replace(found, process=process)


@pytest.mark.parametrize(
    ("need", "each", "machines", "processes"),
    [
        (0.0, 400.0, 3, 4),  # four of 100 fit, and there are four cores
        (0.0, 399.0, 4, 3),
        (0.0, 199.0, 12, 1),
        (0.0, 100.0, 12, 1),
        (600.0, 400.0, 5, 3),  # 4 machines would have 100 left each, 5 with three on each have 100 for 120
        (601.0, 300.0, 7, 2),
        (24.0, 102.0, 12, 1),
    ],
)
def test_processes_and_the_burst_share_the_memory_of_a_machine(
    need: float, each: float, machines: int, processes: int
) -> None:
    """Twelve processes of 100 MiB on machines of four cores, without spare ones: the fewest machines that hold both."""
    asked = [bound(6.0, 0.5), memory(need, each, 100.0)]
    found = size("node", asked, msgspec.structs.replace(AIMS, spare=0))
    fewest = next(n for n in range(3, 99) if -(-12 // n) * 100 + need / n <= each)
    assert (found.machines, host("node", found, AIMS).processes["node"]) == (fewest, -(-12 // fewest))
    assert (found.machines, -(-12 // machines)) == (machines, processes)


@UNHURRIED
@given(st.integers(1, 300), st.floats(0, 9999), st.floats(101, 5000), st.integers(1, 64))
def test_no_fewer_machines_would_hold_it(processes: int, need: float, each: float, cores: int) -> None:
    """By counting up."""
    asked = [bound(processes * 0.5, 0.5), memory(need, each, 100.0)]
    found = size("node", asked, msgspec.structs.replace(AIMS, spare=0, cores=cores))
    fewest = next(
        n
        for n in range(1, 100_000)
        if -(-processes // n) <= cores and -(-processes // n) * 100 + need / n <= each + 1e-6
    )
    assert found.machines == fewest


@pytest.mark.parametrize("tier", ["node", "worker", "redis"])
def test_a_machine_smaller_than_a_process_is_refused(tier: str) -> None:
    """One as large is not."""
    plan = redis if tier == "redis" else lambda bounds, aims: size(tier, bounds, aims)
    assert plan([bound(0.1, 0.5, tier=tier), memory(0.0, 100.0, 100.0, tier)], AIMS).machines >= 1
    with pytest.raises(SizeError, match=f"a process of {tier} needs 100 MiB of memory, and of a machine's 99.5 MiB"):
        plan([bound(0.1, 0.5, tier=tier), memory(0.0, 99.5, 100.0, tier)], AIMS)


def test_machines_of_redis_hold_shards_and_replicas() -> None:
    """Twenty shards are forty processes of 10 MiB on ten machines of four cores, but not with 2,000 MiB of posts."""
    asked = [bound(10, 0.5, tier="redis"), memory(2000.0, 100.0, 10.0, "redis")]
    assert (redis(asked, AIMS).machines, redis(asked, AIMS).binds) == (29, "CPU")


def test_shards_have_replicas_on_three_machines_at_least() -> None:
    """For three Sentinels."""
    small = redis([bound(0.1, 0.5, tier="redis")], AIMS)
    large = redis([bound(10, 0.5, tier="redis")], AIMS)
    assert (small.processes_needed, small.processes, small.machines) == (1, 2, 3)
    assert (large.processes_needed, large.processes, large.machines) == (20, 40, 10)


def test_a_host_has_no_more_processes_than_cores() -> None:
    """The planned ones, spread evenly."""
    found = size("node", [bound(4.5, 0.5)], AIMS)
    assert host("node", found, AIMS).processes == {"node": 3}
