"""Costs as a file."""

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from bench.capacity.costs import CostsError, Line, read
from tests.unit.bench.capacity.measured import COSTS, tier

MINIO = COSTS.stores["minio"]


def test_a_cost_grows_with_the_bytes() -> None:
    """Fixed, and so much for each million bytes."""
    assert Line(fixed_ms=1.0, mb_ms=2.0).ms(500_000) == 2.0


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    """The file itself; a tier in it."""
    path = tmp_path / "costs.json"
    with pytest.raises(CostsError, match="make bench"):
        read(path)
    path.write_text('{"measured_at": "2026-11-30T00:00:00Z", "machine": {}, "code": "x"}')
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
