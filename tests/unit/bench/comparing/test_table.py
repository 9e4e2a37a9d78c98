"""bench.comparing.table: the verdict is the title, each metric a row."""

import io

from rich.console import Console

from bench.comparing.table import table
from bench.comparing.verdict import compared
from tests.unit.bench.comparing.reports_made import times


def test_the_verdict_comes_first_and_each_metric_has_its_interval() -> None:
    """Means, difference, limit, verdict."""
    out = io.StringIO()
    Console(file=out, width=140).print(table(compared(times(1200, 1210, 1190), times(1000, 1010, 990))))
    lines = out.getvalue().splitlines()

    assert lines[0].strip() == "worse: upload p99"
    (row,) = (line for line in lines if "upload p99, ms" in line)
    assert all(word in row for word in ("1200", "1000", "180 … 220", "100", "worse"))
