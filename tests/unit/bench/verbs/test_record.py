"""The command line of a recording."""

from pathlib import Path

import pytest

from bench.__main__ import main


def test_what_cannot_be_a_trace_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A moment that is no time; a recording without a row of the moment. Nothing is written."""
    (tmp_path / "rows").write_bytes(b"")
    words = [str(tmp_path / "rows"), str(tmp_path / "made.gz")]

    for time in ("yesterday", "2026-01-01T12:00:00"):
        assert main(["record", "--fires-at", time, *words]) == 2
        assert f"--fires-at {time}: " in capsys.readouterr().err
    assert main(["record", "--fires-at", "2026-01-01T12:00:00Z", *words]) == 2
    assert "no row is of this moment" in capsys.readouterr().err
    assert not (tmp_path / "made.gz").exists()


def test_a_trace_is_not_made_over_its_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2, and the rows are there."""
    (tmp_path / "rows").write_bytes(b"{}")

    assert main(["record", "--fires-at", "2026-01-01T12:00:00Z", *[str(tmp_path / "rows")] * 2]) == 2
    assert "is the same file as the rows" in capsys.readouterr().err
    assert (tmp_path / "rows").read_bytes() == b"{}"
