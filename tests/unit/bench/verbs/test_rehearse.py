"""`bench rehearse`: what it refuses before anything is started."""

from pathlib import Path

import pytest

from bench.__main__ import main, parser
from bench.verbs.rehearse import NAMES

DEMO = str(Path(__file__).resolve().parents[4] / "bench" / "traces" / "demo-2000.jsonl.gz")


def test_it_wants_to_be_told_which_faults(capsys: pytest.CaptureFixture[str]) -> None:
    """All, or some by name; a name that it does not know is refused."""
    assert main(["rehearse", DEMO]) == 2
    assert "--matrix" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parser().parse_args(["rehearse", DEMO, "--fault", "earthquake"])
    given = parser().parse_args(["rehearse", DEMO, "--fault", "node-killed", "store-slow", "--fault", "worker-killed"])
    assert given.fault == ["node-killed", "store-slow", "worker-killed"]
    assert len(NAMES) == 8


def test_a_page_that_cannot_be_written_is_told_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before a stack is started; nor is it written over the trace."""
    assert main(["rehearse", DEMO, "--matrix", "--html", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"bench: cannot write {tmp_path}: Is a directory\n"
    assert main(["rehearse", DEMO, "--matrix", "--html", DEMO]) == 2
    assert "is the same file as TRACE" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--stack", "none.json"], []])
def test_a_trace_or_a_stack_that_is_not_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    """Exit 2, and nothing was started."""
    monkeypatch.chdir(tmp_path)
    trace = DEMO if words else "none.jsonl.gz"

    assert main(["rehearse", trace, "--matrix", *words, "--json"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "none.json" in err
