"""bench.peers.rows: medians, ratios, aims, and the files."""

from pathlib import Path

import msgspec
import pytest

from bench.peers.rows import CPU_UNIT, Results, cpu_aim, machine, markdown, memory_row, row, write

ROUNDS = {"snapsurge": [1.0, 2.0, 9.0], "haproxy": [2.0, 2.0, 3.0], "nginx": [1.0, 1.0, 1.0]}


def test_the_ratio_is_the_median_of_the_rounds_ratios() -> None:
    """1/2, 2/2 and 9/3: a disturbed round moves neither."""
    found = row("no body", CPU_UNIT, ROUNDS, aim=1.5)

    assert (found.ours, found.peers) == (2.0, {"haproxy": 2.0, "nginx": 1.0})
    assert (found.ratio, found.aim, found.met) == (1.0, 1.5, True)
    assert row("no body", CPU_UNIT, ROUNDS, aim=0.9).met is False
    assert row("no body", "requests/s", ROUNDS).met is None
    assert row("x", "ms", {"snapsurge": [1.0], "haproxy": [0.0]}).ratio is None


@pytest.mark.parametrize(
    ("body", "tls", "aim"), [(0, False, 1.5), (20_000, False, 1.0), (200_000, False, 0.9), (5_000_000, True, 1.3)]
)
def test_aims_are_those_of_the_specification(body: int, tls: bool, aim: float) -> None:  # noqa: FBT001
    """By body, and one for TLS."""
    assert cpu_aim(body, tls=tls) == aim


def test_memory_is_judged_by_a_fixed_limit() -> None:
    """64 KiB, whatever the peers need."""
    found = memory_row(2000, {"snapsurge": 32.0, "haproxy": 4.0})

    assert (found.ratio, found.met, found.peers) == (0.5, True, {"haproxy": 4.0})


def test_files_hold_the_rows(tmp_path: Path) -> None:
    """JSON for programs, Markdown and SVG for a README."""
    results = Results(machine(), (row("no body", CPU_UNIT, ROUNDS, aim=0.9), row("no body", "requests/s", ROUNDS)))
    files = write(results, tmp_path / "results", "<svg/>")

    assert [file.name for file in files] == ["lb.json", "lb.md", "lb.svg"]
    assert msgspec.json.decode(files[0].read_bytes(), type=Results) == results
    assert markdown(results).splitlines()[2:] == [
        f"| no body | {CPU_UNIT} | 2 | 2 | 1 | 1 | 0.9 | **no** |",
        "| no body | requests/s | 2 | 2 | 1 | 1 |  |  |",
    ]
