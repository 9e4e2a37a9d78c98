"""The command line of a transformed trace."""

import json
import shlex
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.traces import trace

BUNDLED = Path(__file__).resolve().parents[4] / "bench" / "traces" / "demo-2000.jsonl.gz"


def test_the_note_says_how_it_was_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command in it makes the same file again; the window stays; the note of the other trace is kept."""
    words = ["transform", str(BUNDLED), str(tmp_path / "x.gz"), "--users", "2", "--bytes", "1.5", "--push-s", "30"]
    assert main([*words, "--seed", "7"]) == 0
    assert "a push of " in capsys.readouterr().out
    made, note = trace.read(tmp_path / "x.gz"), trace.read(BUNDLED).header.note

    assert (len(made.rows), made.header.window_s, made.header.kind, made.header.seed) == (4000, 20, "synthetic", 7)
    command, _, was = made.header.note.partition("; ")
    assert was == f"{BUNDLED.name} was: {note}"
    again = shlex.split(command)[3:]
    assert main([*again[:1], str(BUNDLED), *again[2:-1], str(tmp_path / "y.gz")]) == 0
    assert trace.read(tmp_path / "y.gz").rows == made.rows


def test_one_object_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With `--json`."""
    assert main(["transform", str(BUNDLED), str(tmp_path / "x.gz"), "--users", "0.5", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["users"], found["fit"]) == (1000, None)


@pytest.mark.parametrize("asked", [[], ["--users", "0"], ["--bytes", "nan"], ["--users", "2", "--seed", "-1"]])
def test_what_cannot_be_made_leaves_the_old_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], asked: list[str]
) -> None:
    """One line, exit code 2, and nothing is written, not even half."""
    (tmp_path / "x.gz").write_bytes(b"old")

    assert main(["transform", str(BUNDLED), str(tmp_path / "x.gz"), *asked]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("x.gz", b"old")]


def test_a_trace_is_not_made_over_the_one_that_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2, and it is whole."""
    (tmp_path / "x.gz").write_bytes(BUNDLED.read_bytes())

    assert main(["transform", str(tmp_path / "x.gz"), str(tmp_path / "." / "x.gz"), "--users", "2"]) == 2
    assert "is the same file as TRACE" in capsys.readouterr().err
    assert (tmp_path / "x.gz").read_bytes() == BUNDLED.read_bytes()
