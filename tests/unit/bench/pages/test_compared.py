"""bench.pages.compared: the page of a comparison."""

from pathlib import Path

from bench.comparing.verdict import compared
from bench.pages.compared import html, write
from tests.unit.bench.comparing.reports_made import times


def test_the_verdict_is_first_and_what_is_worse_is_marked(tmp_path: Path) -> None:
    """With its interval and what is allowed."""
    write(compared(times(1200, 1210, 1190), times(1000, 1010, 990)), tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()

    assert '<p class="verdict bad">Worse: upload p99.' in text
    assert text.count("<tr class=marked>") == 1
    assert "180 … 220" in text
    assert "<h2>Differences" in text


def test_without_a_baseline_there_is_only_a_verdict() -> None:
    """And it is no good one."""
    text = html(compared(times(1, 2, 3), []))

    assert '<p class="verdict void">No baseline' in text
    assert "<h2>" not in text
