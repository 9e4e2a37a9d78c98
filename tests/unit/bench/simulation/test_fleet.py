"""Fleets as files."""

import json
from pathlib import Path

import pytest

from bench.simulation.fleet import FLEET_MAX, FleetError, read


def written(path: Path, **machines: object) -> Path:
    """A file with these machines."""
    path.write_text(json.dumps({"machines": machines}))
    return path


def test_processes_add_up_over_machines(tmp_path: Path) -> None:
    """Three machines with two nodes each are six."""
    one = {"cores": 2, "lb": 1, "worker": 2, "redis": 1}
    fleet = read(written(tmp_path / "f", a={"count": 3, "cores": 4, "node": 2}, b=one))

    assert [fleet.of(tier) for tier in ("lb", "node", "worker", "redis", "store")] == [1, 6, 2, 1, 0]


def test_a_fleet_that_cannot_take_a_pair_is_refused(tmp_path: Path) -> None:
    """No file, no JSON, no nodes."""
    with pytest.raises(FleetError, match="No such file"):
        read(tmp_path / "none")
    (tmp_path / "bad").write_text("{")
    with pytest.raises(FleetError, match="bad"):
        read(tmp_path / "bad")
    with pytest.raises(FleetError, match="no machine runs a node"):
        read(written(tmp_path / "f", a={"cores": 4, "lb": 1, "worker": 2}))
    with pytest.raises(FleetError, match="no machine runs a redis"):
        read(written(tmp_path / "f", a={"cores": 4, "lb": 1, "node": 1, "worker": 2, "redis": 0}))


@pytest.mark.parametrize("name", ["lb", "node", "worker", "redis", "store", "count"])
def test_a_fleet_is_bounded(tmp_path: Path, name: str) -> None:
    """From both sides of the limit, over all machines, and far beyond it."""
    one = {"cores": 4, "lb": 1, "node": 1, "worker": 1, "redis": 1}
    assert read(written(tmp_path / "f", a={**one, name: FLEET_MAX}))
    for many in (FLEET_MAX + 1, 10**9, 10**30):
        with pytest.raises(FleetError, match="at most 100,000"):
            read(written(tmp_path / "f", a={**one, name: many}))
    if name != "count":
        with pytest.raises(FleetError, match=f"{name} 100,002"):
            read(written(tmp_path / "f", a={**one, "count": 2, name: 50_001}))
