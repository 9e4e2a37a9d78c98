"""bench.pages.rehearsed: the page of a matrix."""

from pathlib import Path

from bench.pages.rehearsed import verdicts, write
from bench.rehearsal.matrix import Matrix, Trial
from bench.rehearsal.sightings import Sighting

SEEN = (Sighting(program="node-a", metric="up", after_s=1.2, low=1, high=1, value=0, constant=True),)
PASSED = Trial(
    fault="node-killed", result="passed", why="", evidence="node 7 ended", seen=SEEN, offered=9, recovery_s=3.0
)
FAILED = Trial(fault="store-slow", result="failed", why="no metric saw it", evidence="slow", offered=9)
ABSENT = Trial(fault="store-away-10s", result="not possible here", why="no MinIO")


def matrix(*trials: Trial) -> Matrix:
    """One of these trials."""
    return Matrix(trace="t", peak_s=8.0, trials=trials)


def test_every_fault_has_a_row_with_its_evidence(tmp_path: Path) -> None:
    """What failed is marked, and what could not be tried says why."""
    write(matrix(PASSED, FAILED, ABSENT), tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()

    assert text.count("<tr class=marked>") == 1
    assert "<td>node 7 ended</td>" in text
    assert "<td>not possible here: no MinIO</td>" in text
    assert "up of node-a (1.2 s)" in text
    assert "<h2>Recovery" in text


def test_only_a_whole_matrix_has_a_good_verdict() -> None:
    """What was not tried is not known."""
    assert [one.good for one in verdicts(matrix(PASSED))] == [True]
    assert [one.good for one in verdicts(matrix(PASSED, ABSENT))] == [None]
    assert [one.good for one in verdicts(matrix(PASSED, FAILED, ABSENT))] == [False, None]
