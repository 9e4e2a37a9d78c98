"""The command line of a description."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.traces import trace
from bench.traces.trace import Header, Trace

BUNDLED = Path(__file__).resolve().parents[4] / "bench" / "traces" / "demo-2000.jsonl.gz"


def test_one_object_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    """With `--json`; its hash is the file's, and what was given is taken as given."""
    assert main(["describe", str(BUNDLED), "--json", "--fanout-s", "3"]) == 0
    found = json.loads(capsys.readouterr().out)

    assert found["trace_sha256"] == sha256(BUNDLED.read_bytes()).hexdigest()
    assert found["arrivals"]["users"] == 2000
    assert found["fit"]["arrivals"]["goodness"]["fits"] is True
    assert found["fit"]["arrivals"]["arrivals"]["fanout_s"] == 3
    assert found["fit"]["sizes"]["photo_bytes"] == pytest.approx(90_000, rel=0.03)


def test_lines_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    """Without it."""
    assert main(["describe", str(BUNDLED)]) == 0
    assert "2,000 users" in capsys.readouterr().out


def test_what_cannot_be_described_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No file, no trace, no arrivals."""
    (tmp_path / "bad.gz").write_bytes(b"plain")
    trace.write(tmp_path / "empty.gz", Trace(Header(kind="recorded", window_s=1), ()))
    for name in ("none.gz", "bad.gz", "empty.gz"):
        assert main(["describe", str(tmp_path / name)]) == 2
    errors = capsys.readouterr().err.splitlines()

    assert [error.startswith("bench: ") for error in errors] == [True] * 3
    assert "no arrivals" in errors[2]
