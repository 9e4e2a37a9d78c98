"""All steps on a real stack, with few pairs: every tier is measured in the phases in which it works."""

import pytest

from bench.capacity.costs import checked
from bench.costing.assembled import costs
from bench.costing.run import Effort, measure
from bench.rows import machine
from tests.unit.bench.costing.readings import readings

FEW = Effort(
    pairs={40_000: 8, 90_000: 8},
    drained=(40_000, 90_000),
    rounds=1,
    rendered=20,
    alone=4,
    views=4,
    in_flight=20,
    idle_s=0.5,
)
TIERS = {"lb", "node", "redis"}


@pytest.mark.timeout(600)
async def test_each_tier_is_measured_in_its_phases(redis_url: str) -> None:
    """And costs can be made of it: those of MinIO are round numbers here."""
    del redis_url  # the test needs a Redis program; the bench starts one of its own
    said: list[str] = []

    found = await measure("file", FEW, said.append)

    assert {name for name, points in found.upload.items() if points} == TIERS | {"lb_tls"}
    assert set(found.drain) == TIERS | {"worker"}
    assert set(found.read) == TIERS | {"lb_tls"}
    assert len(found.upload["node"]) == len(found.drain["worker"]) == 2
    assert min(ms for _, ms in found.upload["node"]) > 0
    # Phases are apart: a worker renders for milliseconds, a balancer has nothing to do meanwhile.
    assert min(ms for _, ms in found.drain["worker"]) > 10 * max(ms for _, ms in found.drain["lb"])
    assert found.crowd >= 1
    assert found.requests is None
    assert all(seconds > 0 for times in found.start_s.values() for seconds in times)
    assert len(found.alone.node_ms) == FEW.alone - 1
    assert sum(found.alone.put_counts) == FEW.alone
    assert len(said) == 4
    made = costs(
        {"file": found, "minio": readings("minio")}, measured_at="2026-12-01T00:00:00Z", machine=machine(), code="c"
    )
    line = checked(made, "this run").stores["file"].worker.drain
    assert line is not None
    assert [size for size, _ in line.points] == pytest.approx([80_000, 180_000], rel=0.02)


@pytest.mark.timeout(600)
async def test_requests_to_minio_are_those_of_the_pairs_that_were_counted(redis_url: str, minio_url: str) -> None:
    """Three for a pair and its bytes once, whatever is sent and rendered besides for other readings."""
    del redis_url, minio_url  # the test needs both programs; the bench starts its own

    found = await measure("minio", FEW, lambda _: None)

    assert found.requests is not None
    assert found.requests.requests == {"PutObject": 2.0, "GetObject": 1.0}
    assert 1.0 <= found.requests.sent / found.pair_bytes < 1.5
