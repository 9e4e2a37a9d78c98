"""Tables of figures in documents are those of `bench/results`, and leave out no aim that is missed."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.capacity.costs import Line

ROOT = Path(__file__).resolve().parent.parent
TABLES = (("node", "README.md"), ("queue", "README.md"), ("images", "README.md"), ("resume", "bench/README.md"))


def results(name: str) -> Any:
    """The content of a file in `bench/results`."""
    return msgspec.json.decode((ROOT / "bench" / "results" / f"{name}.json").read_bytes())


def lines_of(name: str, file: str) -> Iterator[dict[str, str]]:
    """The lines of the tables between the marks of this name, by the headings of their columns."""
    text = (ROOT / file).read_text().partition(f"<!-- {name} -->")[2].partition(f"<!-- /{name} -->")[0]
    for block in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        heads, _, *lines = ([cell.strip() for cell in line.split("|")[1:-1]] for line in block.splitlines())
        yield from (dict(zip(heads, line, strict=True)) for line in lines)


def written(value: float | None) -> str:
    """A figure as tables write it: four digits, thousands with commas; an aim as met or not."""
    if value is None or isinstance(value, bool):
        return {None: "", True: "yes", False: "**no**"}[value]
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"


@pytest.mark.parametrize(("name", "file"), TABLES)
def test_the_rows_of_a_table_are_those_of_the_run(name: str, file: str) -> None:
    """Each line is a row of the file, digit for digit, and each row that misses its aim has a line."""
    rows = {(row["case"], row["unit"]): row for row in results(name)["rows"]}
    lines = {(line["case"], line["unit"]): line for line in lines_of(name, file)}

    assert lines
    for key, line in lines.items():
        row = rows[key]
        figures = {"ours": row["ours"], **row["peers"], **{name: row[name] for name in ("ratio", "aim", "met")}}
        due = {column: written(value) for column, value in figures.items()}
        assert {column: line.get(column) for column in due} == due, key
    assert {key for key, row in rows.items() if row["met"] is False} <= set(lines)


def test_the_table_of_faults_is_that_of_the_rounds() -> None:
    """Every suite; all broken promises of a suite are in one of the last two columns."""
    suites = {row["case"].removesuffix(": all rounds"): row for row in results("faults")["rows"]}
    due = {
        suite: [
            *(written(row[name]) for name in ("times", "void", "ok", "unknown", "recovered")),
            written(row["ours"] - row["broken"]["refused"]),
            written(row["broken"]["refused"]),
        ]
        for suite, row in suites.items()
        if ": " not in suite
    }
    found = {suite: figures for suite, *figures in (line.values() for line in lines_of("faults", "README.md"))}

    assert found == due


def test_the_table_of_costs_is_that_of_the_file() -> None:
    """Fixed part, part for each MB, and what 2 x 200 KB cost."""
    costs = results("costs")
    tiers = {"balancer": costs["lb"], "Redis": costs["redis"], "MinIO": costs["stores"]["minio"]["store"]}
    for kind, name in (("file", "file store"), ("minio", "MinIO")):
        tiers |= {f"{tier}, {name}": costs["stores"][kind][tier] for tier in ("node", "worker")}
    due = {f"{name}, {phase}": tier[phase] for name, tier in tiers.items() for phase in ("upload", "drain")}
    due |= {"balancer, upload over a new TLS connection": costs["lb_tls"]["upload"]}
    found = {tier: figures for tier, *figures in (line.values() for line in lines_of("bench", "README.md"))}

    assert found == {
        name: [written(line[part]) for part in ("fixed_ms", "mb_ms")] + [written(msgspec.convert(line, Line).ms(4e5))]
        for name, line in due.items()
        if line and line["fixed_ms"] + line["mb_ms"]
    }
