"""bench.contests.ring: from figures to the table's form."""

import json
from pathlib import Path

from bench.contests.ring import FIGURES, table
from bench.rows import Row


def test_rows_have_the_form_of_all_bench_tables() -> None:
    """Case, unit, ours, peers, ratio, aim, met; met follows from ratio and aim."""
    figures = {name: 1.0 for name, *_ in FIGURES} | {"nodes": 3, "ketama_160": 1.2, "moved_max": 1.4}
    rows = {row.case: row for row in table({"rows": [figures]})}

    assert rows["key share, 3 nodes"] == Row(
        case="key share, 3 nodes",
        unit="max/mean",
        ours=1.0,
        peers={"ring, 160 points": 1.2},
        ratio=1.0,
        aim=1.05,
        met=True,
    )
    assert rows["the leaver's keys over the survivors, 3 nodes"].met is False
    assert rows["place: with health and bound, 3 nodes"].met is None


def test_the_last_result_has_every_row() -> None:
    """The file in the repository is of this code's form."""
    written = json.loads((Path(__file__).parents[4] / "bench" / "results" / "ring.json").read_text())

    assert len(written["rows"]) == 5 * len(FIGURES)
