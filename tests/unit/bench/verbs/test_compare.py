"""`bench compare`: its exit codes, and what it prints."""

import json
from pathlib import Path

import pytest

from bench.__main__ import main
from tests.unit.bench.comparing.reports_made import report


def written(folder: Path, name: str, *p99: float, **changed: object) -> list[str]:
    """Report files of runs with these p99."""
    paths = []
    for number, value in enumerate(p99):
        path = folder / f"{name}{number}.json"
        path.write_text(json.dumps(report(latency_ms={"p99": value}, **changed)))
        paths.append(str(path))
    return paths


@pytest.mark.parametrize(
    ("p99", "code", "verdict"),
    [
        ((1000.0, 1001.0, 999.0), 0, "no worse"),
        ((2000.0, 2001.0, 1999.0), 1, "worse"),
        ((900.0, 2000.0, 1000.0), 3, "cannot tell"),
    ],
)
def test_the_exit_code_is_the_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], p99: tuple[float, ...], code: int, verdict: str
) -> None:
    """With `--json` one object and nothing else."""
    ours, baseline = written(tmp_path, "a", *p99), written(tmp_path, "b", 1000.0, 1002.0, 998.0)

    assert main(["compare", *ours, "--against", *baseline, "--json"]) == code
    assert json.loads(capsys.readouterr().out)["verdict"] == verdict
    assert main(["compare", *ours, "--against", *baseline]) == code
    assert verdict in capsys.readouterr().out


def test_without_a_baseline_it_is_void(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 3, and it says so."""
    assert main(["compare", *written(tmp_path, "a", 1.0, 2.0, 3.0)]) == 3
    assert "no baseline" in capsys.readouterr().out


def test_a_page_over_a_report_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And a page that cannot be written, before anything is compared."""
    ours, baseline = written(tmp_path, "a", 1.0, 2.0, 3.0), written(tmp_path, "b", 1.0, 2.0, 3.0)
    before = Path(ours[1]).read_bytes()
    for html, why in ((ours[1], "is the same file as the report"), (str(tmp_path), "Is a directory")):
        assert main(["compare", *ours, "--against", *baseline, "--html", html]) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert why in err
    assert Path(ours[1]).read_bytes() == before


def test_what_differs_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2 with the list, on standard error; so is one report on both sides."""
    ours, baseline = written(tmp_path, "a", 1.0, 2.0, 3.0), written(tmp_path, "b", 1.0, 2.0, 3.0, scale=2.0)

    assert main(["compare", *ours, "--against", *baseline, "--json"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "scale: 1 in" in err
    assert main(["compare", *ours, "--against", ours[0], *written(tmp_path, "c", 1.0, 2.0)]) == 2
    assert "more than once" in capsys.readouterr().err
