"""Costs as a file."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from bench.capacity.costs import CostsError, Line, read
from tests.unit.bench.capacity.measured import COSTS, tier

MINIO = COSTS.stores["minio"]


def test_a_cost_grows_with_the_bytes() -> None:
    """Fixed, and so much for each million bytes."""
    assert Line(fixed_ms=1.0, mb_ms=2.0).ms(500_000) == 2.0


def test_points_are_joined_and_go_on_at_both_ends() -> None:
    """Renders of 100, 300 and 500 KB: between two of them, on them, below and above; the line does not count."""
    line = Line(fixed_ms=1.0, mb_ms=2.0, points=((100e3, 20.0), (300e3, 40.0), (500e3, 50.0)))
    assert [line.ms(kb * 1e3) for kb in (100, 200, 400, 500)] == pytest.approx([20.0, 30.0, 45.0, 50.0])
    assert [line.ms(kb * 1e3) for kb in (50, 700)] == pytest.approx([15.0, 60.0])
    assert line.each_ms(np.array([50_000, 200_000])).tolist() == pytest.approx([15.0, 30.0])


def test_no_size_costs_less_than_nothing() -> None:
    """The slope at the small end may lead below 0; a slope down at the large end is noise."""
    steep = Line(fixed_ms=1.0, points=((100e3, 5.0), (200e3, 25.0), (300e3, 24.0)))
    assert (steep.ms(0), steep.ms(900e3)) == (0.0, 24.0)


def test_one_point_is_no_curve() -> None:
    """The line counts then."""
    assert Line(fixed_ms=1.0, mb_ms=2.0, points=((100e3, 20.0),)).ms(500_000) == 2.0


def test_a_dearer_line_is_dearer_at_every_size() -> None:
    """Its points too; its spread stays."""
    line = Line(fixed_ms=1.0, mb_ms=2.0, spread=(0.5, 1.5), points=((1e5, 20.0), (3e5, 40.0)))
    assert line.times(2.0).ms(2e5) == 60.0
    assert (line.times(2.0).fixed_ms, line.times(2.0).mb_ms, line.times(2.0).spread) == (2.0, 4.0, (0.5, 1.5))


def test_costs_without_points_are_told() -> None:
    """Those of a file that was measured before; a store that is not there is told elsewhere."""
    assert COSTS.lines_only("minio")
    assert not COSTS.lines_only("tape")
    drain = Line(fixed_ms=1.0, points=((1e5, 20.0), (3e5, 40.0)))
    pointed = replace(MINIO, worker=replace(MINIO.worker, drain=drain))
    assert not replace(COSTS, stores={"minio": pointed}).lines_only("minio")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    """The file itself; a tier in it."""
    path = tmp_path / "costs.json"
    with pytest.raises(CostsError, match="make bench"):
        read(path)
    path.write_text('{"measured_at": "2026-11-30T00:00:00Z", "machine": {"cpus": 2}, "code": "x"}')
    with pytest.raises(CostsError, match="required field `lb`"):
        read(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"redis": replace(COSTS.redis, drain=None)}, "redis has no drain"),
        ({"stores": {}}, "no kind of store was measured"),
        ({"stores": {"minio": replace(MINIO, worker=replace(MINIO.worker, drain=None))}}, "minio.worker has no drain"),
        ({"stores": {"minio": replace(MINIO, store=tier(1.0))}}, "minio.store has no drain"),
    ],
)
def test_a_phase_that_was_not_measured_is_named(tmp_path: Path, change: dict[str, object], said: str) -> None:
    """A plan without it would be cheap and wrong."""
    path = tmp_path / "costs.json"
    path.write_bytes(msgspec.json.encode(COSTS))
    assert read(path) == COSTS
    path.write_bytes(msgspec.json.encode(replace(COSTS, **change)))
    with pytest.raises(CostsError, match=said):
        read(path)


def test_a_missing_tier_of_a_store_is_named(tmp_path: Path) -> None:
    """By its place in the file."""
    found = msgspec.to_builtins(COSTS)
    del found["stores"]["minio"]["node"]
    path = tmp_path / "costs.json"
    path.write_bytes(msgspec.json.encode(found))
    with pytest.raises(CostsError, match=r"required field `node` - at `\$.stores"):
        read(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"heartbeat_cores": None}, "required field `heartbeat_cores`"),
        ({"redis_pair_kib": None}, "required field `redis_pair_kib`"),
        ({"measured_at": ""}, "measured_at is no time: ''"),
        ({"measured_at": "yesterday"}, "measured_at is no time: 'yesterday'"),
        ({"machine": {}}, r"length >= 1 - at `\$\.machine`"),
        ({"code": ""}, r"length >= 1 - at `\$\.code`"),
    ],
)
def test_what_a_measurement_always_has_is_missed(tmp_path: Path, change: dict[str, object], said: str) -> None:
    """By its name: without it a plan is cheap, or of nobody knows what."""
    path = tmp_path / "costs.json"
    found = {name: value for name, value in (msgspec.to_builtins(COSTS) | change).items() if value is not None}
    path.write_bytes(msgspec.json.encode(found))
    with pytest.raises(CostsError, match=said):
        read(path)


@pytest.mark.parametrize(("seconds", "good"), [(86_400, True), (86_401, False), (1e12, False)])
def test_a_start_takes_a_day_at_most(tmp_path: Path, seconds: float, *, good: bool) -> None:
    """As that of a machine; a plan with longer ones has no end."""
    path = tmp_path / "costs.json"
    path.write_bytes(msgspec.json.encode(replace(COSTS, lb_tls=replace(COSTS.lb_tls, start_s=seconds))))
    if good:
        assert read(path).lb_tls.start_s == seconds
        return
    with pytest.raises(CostsError, match=r"<= 86400.0 - at `\$\.lb_tls\.start_s`"):
        read(path)
