"""bench.rehearsal.table: a row a fault, also where there is nothing to count."""

import io

from rich.console import Console

from bench.rehearsal.matrix import Matrix, Trial
from bench.rehearsal.sightings import Sighting
from bench.rehearsal.table import lines, table


def test_each_fault_has_its_row_and_its_evidence() -> None:
    """One that is not possible says why and has no numbers."""
    seen = (Sighting(program="node-a", metric="up", after_s=1.2, low=1, high=1, value=0, constant=True),)
    trials = (
        Trial(fault="node-killed", result="passed", why="", evidence="pid 7 ended", seen=seen, offered=9, shed=4,
              recovery_s=3.25),
        Trial(fault="store-slow", result="not possible here", why="no MinIO"),
    )  # fmt: skip
    matrix, out = Matrix(trace="t", peak_s=8.0, trials=trials), io.StringIO()
    Console(file=out, width=160).print(table(matrix))
    node, store = (line for line in out.getvalue().splitlines() if "node-killed" in line or "store-slow" in line)

    assert all(word in node for word in ("up of node-a", "1.2", " 4 ", "3.2", "passed"))
    assert "not possible here: no MinIO" in store
    assert "0" not in store
    assert list(lines(matrix)) == ["node-killed: pid 7 ended"]
