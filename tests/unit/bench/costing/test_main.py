"""The program of `make bench`: its table, its file."""

import stat
from pathlib import Path

from bench.capacity.costs import read
from bench.costing.__main__ import table
from bench.files import write_json
from tests.unit.bench.capacity.measured import COSTS


def test_a_table_has_each_phase_that_costs_something() -> None:
    """A worker has no upload, a file store no tier of its own."""
    lines = table(COSTS)
    assert any(line.split() == ["worker,", "file,", "drain", "100.000", "0.000", "100.000"] for line in lines)
    assert not any("worker, file, upload" in line for line in lines)
    assert sum(line.startswith("MinIO") for line in lines) == 2


def test_costs_are_written_whole_and_for_all_to_read(tmp_path: Path) -> None:
    """Nothing is left beside them."""
    path = tmp_path / "results" / "costs.json"
    write_json(path, COSTS)
    assert read(path) == COSTS
    assert [one.name for one in path.parent.iterdir()] == ["costs.json"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
