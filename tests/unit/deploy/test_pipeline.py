"""The table of what a pair costs."""

import msgspec

from deploy.pipeline import Results, kind_of, machine, rows, table
from deploy.replay import Percentiles, Report

NOTHING = Percentiles()
REPORT = Report(
    offered=2,
    accepted=2,
    ready=2,
    rejected=0,
    lost=0,
    half=0,
    doubled=0,
    wrongly_late=0,
    latency_ms=NOTHING,
    ready_ms=NOTHING,
    lag_ms=NOTHING,
    cpu_ms_per_pair={"lb": 0.25, "worker": 120.0},
    moment_id="m",
)


def test_each_tier_has_a_row_in_the_form_of_all_benches() -> None:
    """The keys of design section 7; a tier that was not measured has no figure."""
    found = msgspec.to_builtins(Results(machine(), rows(REPORT, "file")))

    assert list(found) == ["machine", "rows"]
    assert [list(row) for row in found["rows"]] == [["case", "unit", "ours", "peers", "ratio", "aim", "met"]] * 3
    assert [row["ours"] for row in found["rows"]] == [0.25, None, 120.0]


def test_the_machine_is_described() -> None:
    """Figures without a machine are no figures."""
    assert machine().keys() == {"system", "cpus", "memory_mib", "python"}


def test_people_see_the_same_rows() -> None:
    """One line each."""
    assert table(Results(machine(), rows(REPORT, "file"))).row_count == 3


def test_a_store_is_called_by_its_kind() -> None:
    """Addresses have secrets and ports; tables do not need them."""
    assert [kind_of(store) for store in ("file", "minio", "s3://b?endpoint=x")] == ["file", "minio", "s3"]
