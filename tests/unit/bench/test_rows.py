"""bench.rows: medians, ratios, aims, the forms of a row, and the tables in the repository."""

import os
from pathlib import Path

import msgspec
import pytest

from bench.capacity import costs
from bench.command import RESULTS
from bench.prediction import history
from bench.rows import Results, Row, against, judged, limited, line, machine, markdown, medians, percentile, write

ROUNDS = {"snapsurge": [1.0, 2.0, 9.0], "haproxy": [2.0, 2.0, 3.0], "nginx": [1.0, 1.0, 1.0]}


def test_the_ratio_is_the_median_of_the_rounds_ratios() -> None:
    """1/2, 2/2 and 9/3: a disturbed round moves neither."""
    found = against("no body", "ms", ROUNDS, rival="haproxy", at_most=1.5)

    assert (found.ours, found.peers) == (2.0, {"haproxy": 2.0, "nginx": 1.0})
    assert (found.ratio, found.aim, found.met) == (1.0, 1.5, True)
    assert against("no body", "ms", ROUNDS, rival="haproxy", at_most=0.9).met is False
    assert against("no body", "ms", ROUNDS, rival="haproxy").met is None


@pytest.mark.parametrize(("ours", "met"), [(1.0, True), (1.1, False)])
def test_without_a_name_the_rival_is_the_better_peer_of_each_round(ours: float, met: bool) -> None:  # noqa: FBT001
    """Medians are shown; at the aim itself it is met."""
    rounds = {"snapsurge": [ours, ours, 9.0], "textbook": [4.0, 8.0, 99.0], "tusd": [5.0, 4.0, 36.0]}
    found = against("x", "ms", rounds, at_most=0.25)

    assert (found.ours, found.peers, found.ratio, found.met) == (ours, {"textbook": 8.0, "tusd": 5.0}, ours / 4, met)


@pytest.mark.parametrize("rounds", [{"snapsurge": [1.0]}, {"snapsurge": [1.0], "haproxy": [0.0]}])
def test_without_the_rival_nothing_is_met_or_missed(rounds: dict[str, list[float]]) -> None:
    """A machine without it gets our figures all the same; neither is a rival of nothing one."""
    alone = against("CPU", "ms", rounds, rival="haproxy", at_most=1.0)

    assert (alone.ours, alone.ratio, alone.aim, alone.met) == (1.0, None, 1.0, None)


@pytest.mark.parametrize(("ratio", "met"), [(0.9, True), (0.8999, False)])
def test_at_least_is_said_in_the_case(ratio: float, met: bool) -> None:  # noqa: FBT001
    """Because the form has no other place for it."""
    found = judged("goodput", "pairs/s", 9.0, ratio=ratio, at_least=0.9)

    assert (found.case, found.aim, found.met) == ("goodput, at least", 0.9, met)


@pytest.mark.parametrize(("late", "met"), [(0, True), (1, False)])
def test_an_aim_may_be_nothing(late: int, met: bool) -> None:  # noqa: FBT001
    """0 is an aim."""
    assert judged("wrongly late", "pairs", late, ratio=late, at_most=0).met is met


def test_met_follows_from_what_is_written() -> None:
    """Four significant digits, in the ratio too; counts are whole."""
    found = judged("x", "bytes", {"snapsurge": 123456, "libvips": 0.123456}, ratio=1.00004, at_most=1.0)

    assert (found.ours, found.peers, found.ratio, found.met) == (123456, {"libvips": 0.1235}, 1.0, True)


@pytest.mark.parametrize(("kib", "met"), [(64.0, True), (65.0, False)])
def test_a_limit_is_judged_whatever_the_peers_need(kib: float, met: bool) -> None:  # noqa: FBT001
    """And is said in the case."""
    found = limited("2000 slow uploads", "KiB RSS per open upload", {"snapsurge": kib, "haproxy": 4.0}, limit=64)

    assert found.case == "2000 slow uploads (ratio to 64 KiB)"
    assert (found.ratio, found.met, found.peers) == (round(kib / 64, 3), met, {"haproxy": 4.0})
    assert limited("x", "KiB", kib, limit=64).met is met


def test_percentiles_are_values_that_were_seen() -> None:
    """Nearest rank."""
    ranked = [float(value) for value in range(1, 101)]

    assert [percentile(ranked, percent) for percent in (0, 50, 99, 100)] == [1.0, 50.0, 99.0, 100.0]
    assert percentile([7.0], 99) == 7.0
    assert medians({"a": [3.0, 1.0, 2.0]}) == {"a": 2.0}


def test_a_row_is_a_line() -> None:
    """Figure, peers, ratio, aim and verdict; only what there is."""
    missed = line(limited("enqueue", "us per job", {"snapsurge": 20.0, "arq": 200.0}, limit=10))

    assert " ".join(missed.split()) == "enqueue (ratio to 10 us) 20 us per job arq 200 ratio 2 aim 1 MISSED"
    assert " ".join(line(judged("x", "ms", 0.0, ratio=0.0, at_most=0)).split()) == "x 0 ms ratio 0 aim 0 met"
    assert " ".join(line(judged("x", "ms", 1.0)).split()) == "x 1 ms"


def test_the_forms_hold_the_rows(tmp_path: Path) -> None:
    """JSON for programs, Markdown for a README."""
    rows = tuple(against("no body", "ms", ROUNDS, rival="haproxy", at_most=aim) for aim in (0.9, None))
    results = Results(machine(), rows)
    write(results, tmp_path / "lb.json")

    assert msgspec.json.decode((tmp_path / "lb.json").read_bytes(), type=Results) == results
    assert results.machine["cpus"] == os.cpu_count()
    assert markdown(rows).splitlines()[2:] == [
        "| no body | ms | 2 | 2 | 1 | 1 | 0.9 | **no** |",
        "| no body | ms | 2 | 2 | 1 | 1 |  |  |",
    ]


# What the planner reads, and the history of predictions, are no tables.
OTHERS = {"costs.json": costs.read, "predictions.json": history.read}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_table_can_be_read(name: str) -> None:
    """By the one that uses it."""
    OTHERS[name](RESULTS / name)


@pytest.mark.parametrize(
    "path", sorted(path for path in RESULTS.glob("*.json") if path.name not in OTHERS), ids=lambda path: path.name
)
def test_the_tables_in_the_repository_have_this_form(path: Path) -> None:
    """Machine and rows, each with every field."""
    written = msgspec.json.decode(path.read_bytes(), type=Results)
    raw = msgspec.json.decode(path.read_bytes())

    assert {"cpus", "system", "python"} <= written.machine.keys()
    assert written.rows
    assert all(set(Row.__struct_fields__) <= set(row) for row in raw["rows"])
