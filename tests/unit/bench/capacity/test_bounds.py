"""What a burst needs of every resource, by hand: 1,000 pairs of 1 MB a second for ten seconds."""

import msgspec
import numpy as np
import pytest

from bench.capacity.bounds import COPIES, TIERS, WIRE, Bound, bounds, heartbeats, loads, tiers_of
from bench.capacity.costs import CostsError
from bench.capacity.demand import demand
from tests.unit.bench.capacity.measured import AIMS, COSTS, burst

ASKED = demand(burst())
WORK = loads(ASKED, COSTS, AIMS)
FOUND = {bound.name: bound for bound in bounds(ASKED, WORK, COSTS, AIMS)}


def test_cores_are_pairs_times_milliseconds() -> None:
    """A balancer with TLS 1 ms, a node 2 ms, Redis 0.1 ms in the first second, in which little is drained."""
    assert FOUND["lb CPU"].peak == 1.0
    assert FOUND["node CPU"].peak == 2.0
    assert loads(ASKED, COSTS, msgspec.structs.replace(AIMS, tls=False)).cores["lb"].max() == 0.5


def test_workers_have_until_the_aim() -> None:
    """10,000 pairs of 0.1 s are 1,000 s of CPU; they have 10 + 59 s."""
    assert WORK.worker_cores == pytest.approx(1000 / 69)
    assert WORK.drained_s == 69
    assert FOUND["worker CPU"].peak == pytest.approx(1000 / 69)


def test_redis_and_store_pay_for_upload_and_drain() -> None:
    """1,000 uploads and 1000 / 6.9 drained pairs in a second."""
    drained = 10_000 / 69
    assert FOUND["redis CPU"].peak == pytest.approx((1000 * 0.1 + drained * 0.4) / 1000)
    assert FOUND["store CPU"].peak == pytest.approx((1000 * 3 + drained * 3) / 1000)
    assert FOUND["store PUT requests"].peak == pytest.approx(1000 + drained)
    assert FOUND["store GET requests"].peak == pytest.approx(drained)


def test_what_is_in_flight_needs_connections_files_memory_and_network() -> None:
    """A thousand uploads that begin at once; 1 GB a second."""
    assert FOUND["lb uploads in flight"].peak == 1000
    assert FOUND["lb file descriptors"].peak == 2000
    assert FOUND["node file descriptors"].peak == 1000
    assert FOUND["lb network"].peak == pytest.approx(8 * WIRE)
    assert FOUND["node memory"].peak == pytest.approx(ASKED.held_mb.max() * COPIES * 1e6 / 2**20)


def test_views_cost_balancers_nodes_and_requests() -> None:
    """Each pair is looked at; without views nothing is added."""
    seen = msgspec.structs.replace(AIMS, views=10.0, views_s=99.0)
    costs = msgspec.structs.replace(COSTS, lb_tls=msgspec.structs.replace(COSTS.lb_tls, read=COSTS.lb.upload))
    work = loads(ASKED, costs, seen)
    assert work.views.sum() == pytest.approx(100_000)
    assert work.views.max() == pytest.approx(1000)
    assert work.cores["lb"].max() > WORK.cores["lb"].max()
    assert WORK.views.sum() == 0


def test_pictures_read_over_tls_cost_at_least_what_they_cost_without() -> None:
    """Where only that was measured."""
    plain = msgspec.structs.replace(COSTS.lb, read=COSTS.redis.upload)
    costs = msgspec.structs.replace(COSTS, lb=plain, lb_tls=msgspec.structs.replace(COSTS.lb_tls, read=None))
    assert tiers_of(costs, AIMS)[0]["lb"].read == COSTS.redis.upload


def test_a_drain_costs_balancers_and_nodes_nothing() -> None:
    """What was read of them meanwhile is noise."""
    noisy = msgspec.structs.replace(COSTS, lb_tls=msgspec.structs.replace(COSTS.lb_tls, drain=COSTS.redis.drain))
    assert loads(ASKED, noisy, AIMS).cores["lb"].max() == 1.0


def test_memory_of_redis_is_that_of_all_moments_it_keeps() -> None:
    """Ten thousand pairs of 1 KiB, two days of them."""
    assert FOUND["redis index"].peak == pytest.approx(20_000 / 1024**2)


def test_a_count_is_whole_and_not_pushed_up_by_rounding() -> None:
    """Exactly full is full, a little more is one more."""
    bound = Bound(tier="lb", resource="CPU", unit="cores", need=np.array([1.0, 1.5, 1.5001]), each=0.5, per="process")
    assert bound.count().tolist() == [2, 3, 4]


def test_a_core_that_idles_has_less_for_work() -> None:
    """What a process uses without work is taken off."""
    idle = msgspec.structs.replace(COSTS.lb_tls, idle_cores=0.1)
    found = bounds(ASKED, WORK, msgspec.structs.replace(COSTS, lb_tls=idle), AIMS)
    assert next(bound.each for bound in found if bound.name == "lb CPU") == pytest.approx(0.4)


def test_a_file_store_has_no_machines_of_its_own() -> None:
    """Its node does the work."""
    aims = msgspec.structs.replace(AIMS, store="file")
    found = {bound.name for bound in bounds(ASKED, loads(ASKED, COSTS, aims), COSTS, aims)}
    assert "store CPU" not in found
    assert loads(ASKED, COSTS, aims).cores["node"].max() == 4.0


def test_a_store_that_was_not_measured_is_named() -> None:
    """With those that were."""
    with pytest.raises(CostsError, match="no store 'ceph', they have file, minio"):
        tiers_of(COSTS, msgspec.structs.replace(AIMS, store="ceph"))


def test_heartbeats_are_of_the_fleet() -> None:
    """Not of the burst."""
    costs = msgspec.structs.replace(COSTS, heartbeat_cores=0.001)
    bound = heartbeats(costs, 200, AIMS)
    assert bound.fixed
    assert bound.peak == pytest.approx(0.2)


def test_every_started_process_has_memory_of_its_own() -> None:
    """A hundred MiB each, in every tier; a worker has no more, however busy, and Redis keeps a replica too."""
    memory = {bound.tier: bound for bound in FOUND.values() if bound.resource == "memory"}
    assert {tier: bound.process for tier, bound in memory.items()} == dict.fromkeys(TIERS, 100.0)
    assert (memory["worker"].peak, memory["store"].peak) == (0.0, 0.0)
    assert memory["redis"].peak == pytest.approx(2 * 20_000 / 1024)
