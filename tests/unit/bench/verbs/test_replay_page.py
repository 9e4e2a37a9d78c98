"""`bench replay --html`: the page of a real run."""

from pathlib import Path

import pytest

from bench.__main__ import main
from tests.unit.bench.fake_service import Faults
from tests.unit.bench.test_main import SMALL, serving


def test_a_replay_writes_its_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what it found first: here a lost pair."""
    monkeypatch.setenv("SNAPSURGE_BENCH_LEAD_S", "0.05")
    monkeypatch.setenv("SNAPSURGE_BENCH_LAG_P99_MAX_MS", "60000")
    monkeypatch.setenv("SNAPSURGE_BENCH_READY_TIMEOUT_S", "0")  # the lost post never comes
    monkeypatch.chdir(tmp_path)
    assert main([*SMALL, "small.jsonl.gz"]) == 0
    with serving(Faults(drop=1)) as url:
        assert main(["replay", "small.jsonl.gz", "--target", url, "--html", "new/page.html"]) == 1
    text = (tmp_path / "new" / "page.html").read_text()

    assert '<p class="verdict bad">Promises broken: 1 lost.' in text
    assert "<h2>Upload time over the burst" in text
