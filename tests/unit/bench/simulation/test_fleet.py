"""Fleets as files."""

import json
from pathlib import Path

import pytest

from bench.simulation.fleet import FleetError, read


def written(path: Path, **machines: object) -> Path:
    """A file with these machines."""
    path.write_text(json.dumps({"machines": machines}))
    return path


def test_processes_add_up_over_machines(tmp_path: Path) -> None:
    """Three machines with two nodes each are six."""
    fleet = read(written(tmp_path / "f", a={"count": 3, "cores": 4, "node": 2}, b={"cores": 2, "lb": 1, "worker": 2}))

    assert [fleet.of(tier) for tier in ("lb", "node", "worker", "redis")] == [1, 6, 2, 0]


def test_a_fleet_that_cannot_take_a_pair_is_refused(tmp_path: Path) -> None:
    """No file, no JSON, no nodes."""
    with pytest.raises(FleetError, match="No such file"):
        read(tmp_path / "none")
    (tmp_path / "bad").write_text("{")
    with pytest.raises(FleetError, match="bad"):
        read(tmp_path / "bad")
    with pytest.raises(FleetError, match="no machine runs a node"):
        read(written(tmp_path / "f", a={"cores": 4, "lb": 1, "worker": 2}))
