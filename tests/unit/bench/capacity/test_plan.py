"""A whole plan by hand: 1,000 pairs of 1 MB a second for ten seconds, on costs of round numbers."""

import msgspec
import pytest

from bench.capacity.demand import demand
from bench.capacity.hosts import Host
from bench.capacity.plan import Shards, Store, Tier, cores, plan
from tests.unit.bench.capacity.measured import COSTS, burst, case

PLANNED = plan(case())


def tier(name: str) -> Tier:
    """A tier of the plan."""
    found = PLANNED.tiers[name]
    assert isinstance(found, Tier)
    return found


def test_the_burst_is_what_was_given() -> None:
    """10,000 pairs, all received after 10 s."""
    burst = PLANNED.burst
    assert (burst.pairs, burst.pairs_s_peak, burst.mb_s_peak) == (10_000, 1000, 1000)
    assert (burst.received_s, burst.waited_s, burst.drained_s) == (10, 68, 69)


def test_each_tier_has_what_its_resources_need() -> None:
    """A balancer's 8.5 Gbit/s fit two machines at half their network; a node's 4 processes too; one more of each."""
    assert (tier("lb").machines, tier("lb").binds) == (3, "network")
    assert (tier("node").machines, tier("node").cpu_cores) == (3, 2.0)
    # 14.49 cores at half of each: 29 processes on 8 machines of 4 cores.
    assert (tier("worker").machines, tier("worker").processes, tier("worker").binds) == (9, 36, "CPU")


def test_redis_and_store_are_planned() -> None:
    """0.16 cores are one shard; 3.4 cores of the store, but a disk of 1 GB/s at half is the first to be full."""
    redis, store = PLANNED.tiers["redis"], PLANNED.tiers["store"]
    assert isinstance(redis, Shards)
    assert isinstance(store, Store)
    assert (redis.shards, redis.machines) == (1, 3)
    assert store.machines == 3
    assert (store.prefixes, store.gb_day, store.gb_year) == (1, 10.0, 3650.0)


def test_the_ladder_has_everything_a_start_before_the_moment() -> None:
    """180 s of a machine, 2 s of a process, 60 s of margin."""
    first = [step for step in PLANNED.ladder if step.at_s <= -tier("node").lead_s + 30]
    assert {step.tier: step.count for step in first} == {"lb": 3, "node": 6, "worker": 36}
    assert tier("node").lead_s == 242
    assert (tier("worker").at_0, tier("worker").at_peak, tier("node").draining) == (36, 36, 0)


def test_what_is_planned_takes_the_burst() -> None:
    """And says by how much; what binds is sorted."""
    assert PLANNED.largest >= 1
    assert [one.headroom for one in PLANNED.binding] == sorted(one.headroom for one in PLANNED.binding)


def hosts(nodes: int) -> dict[str, Host]:
    """A fleet whose nodes are the first to be full."""
    return {
        "all": Host(count=1, cores=1000.0, processes={"lb": 99, "worker": 990, "redis": 99}),
        "nodes": Host(count=nodes, cores=4.0, processes={"node": 1}),
    }


@pytest.mark.parametrize(
    ("nodes", "takes", "half_more"), [(3, False, False), (4, True, False), (5, True, False), (6, True, True)]
)
def test_a_fleet_is_told_what_it_takes(nodes: int, *, takes: bool, half_more: bool) -> None:
    """Nodes of half a core each for two cores: four take it, six half as much again."""
    found = plan(case(), hosts(nodes)).target
    assert found is not None
    assert (found.takes_it, found.takes_half_more) == (takes, half_more)
    assert found.largest == nodes / 4
    assert found.largest_pairs == 10_000 * nodes / 4
    assert found.binding[0].resource == "node CPU"


def test_the_fleet_that_was_planned_takes_it() -> None:
    """The plan of a burst and the answer about its machines agree."""
    found = plan(case(), PLANNED.hosts).target
    assert found is not None
    assert found.largest == PLANNED.largest


def test_heartbeats_of_many_processes_are_seen() -> None:
    """At 0.01 cores each, 45 processes fill the half core of a Redis, and more do not fit."""
    beating = msgspec.structs.replace(case(), costs=msgspec.structs.replace(COSTS, heartbeat_cores=0.02))
    found = plan(beating)
    assert found.binding[0].resource == "redis heartbeats at the main Redis"
    assert found.largest == 0.0


def test_more_users_or_less_time_need_no_fewer_cores() -> None:
    """Monotone in each input."""
    asked = demand(burst())
    plain = cores(case(), asked)
    assert cores(case(), asked.times(1.1)) == pytest.approx(plain * 1.1)
    assert cores(case(ready_s=30.0), asked) > plain > cores(case(ready_s=120.0), asked)
    assert cores(case(utilisation=0.25), asked) > plain


def test_memory_is_that_of_all_planned_processes() -> None:
    """A hundred MiB each, and no less where they are idle; small machines take fewer of them."""
    assert tier("worker").memory_gib == pytest.approx(36 * 100 / 1024)
    assert tier("lb").memory_gib == pytest.approx(tier("lb").processes * 100 / 1024)
    redis = PLANNED.tiers["redis"]
    assert isinstance(redis, Shards)
    assert redis.memory_gib == pytest.approx((200 + 2 * 20_000 / 1024) / 1024)
    small = plan(case(memory_gib=500 / 1024))
    assert small.hosts["worker"].processes == {"worker": 2}
    assert small.largest >= 1
    for found in (PLANNED, small):
        again = plan(case(), found.hosts).target
        assert again is not None
        assert again.takes_it
