"""`bench rehearse` at a stack of its own: a fault of each kind happens, costs no pair, and is told as it was."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.rehearsal.faults import FAULTS
from deploy.config import Environment
from deploy.servers import ServerMissing, minio_program

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(3600)]
SYNTH = (
    "synth --posters 80 --median-s 6 --sigma 0.5 --capture-s 2 --fanout-s 2 --photo-bytes 60000 "
    "--photo-bytes-min 40000 --photo-bytes-max 90000 --span-s 25 --window-s 20"
)


def bench(*words: str) -> "subprocess.CompletedProcess[str]":
    """The command. A slow machine may send late and start late: neither changes what is lost."""
    settings = {"SNAPSURGE_BENCH_LAG_P99_MAX_MS": "60000", "SNAPSURGE_DEPLOY_START_S": "600"}
    command, environment = [sys.executable, "-m", "bench", *words], {**Environment.current(), **settings}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_the_matrix_of_a_small_burst(tmp_path: Path) -> None:
    """Every fault is proven, no pair is lost or made late; whether a metric saw it depends on the machine."""
    try:
        minio_program()
    except ServerMissing as missing:
        pytest.skip(str(missing))
    trace, html = tmp_path / "small.jsonl.gz", tmp_path / "matrix.html"
    assert bench(*SYNTH.split(), str(trace)).returncode == 0
    done = bench("rehearse", str(trace), "--matrix", "--json", "--html", str(html))

    assert done.returncode in {0, 1, 3}, done.stderr
    trials = json.loads(done.stdout)["trials"]
    assert [trial["fault"] for trial in trials] == ["no fault", *(fault.name for fault in FAULTS)]
    assert [trial["fault"] for trial in trials if trial["lost"] or trial["late_by_us"]] == []
    assert [trial["fault"] for trial in trials[1:] if not trial["evidence"]] == [], done.stderr
    assert all(trial["accepted"] == trial["offered"] == 80 for trial in trials)
    assert "redis-shard-killed" in html.read_text()
