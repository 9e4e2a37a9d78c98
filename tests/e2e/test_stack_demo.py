"""`python -m deploy demo` and `bench` with the real programs and a burst small enough for a test."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.traces import trace as traces

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
SHAPE = ["--posters", "60", "--median-s", "1", "--sigma", "0.4", "--fanout-s", "1", "--capture-s", "1", "--span-s", "5"]
# What an account and the report of a replay both count. A pair that only a balancer refused is in no account; here all
# came back.
ALIKE = ("offered", "accepted", "on_time", "late", "ready", "pending")


def run(*words: str) -> "subprocess.CompletedProcess[str]":
    """A command of ours, at its root, both streams together."""
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=100,
    )


def account_of(moment: str, store: Path) -> Any:
    """The account of a moment whose stack has ended, from every record of the store."""
    words = (sys.executable, "-m", "processors", "account")
    done = subprocess.run(
        ("env", f"SNAPSURGE_STORE_URL={store.as_uri()}", *words, moment, "--whole", "--json"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)["account"]


def test_a_small_demo_kills_a_node_and_loses_nothing(tmp_path: Path) -> None:
    """Exit 0, the kill told and proven, a composite picture, every accepted pair ready, nobody left.

    And the account of its moment, computed from the store, is what the phones of bench know.
    """
    trace, state = tmp_path / "small.jsonl.gz", tmp_path / "state"
    made = run("bench", "synth", *SHAPE, str(trace))
    assert made.returncode == 0, made.stdout

    done = run("deploy", "demo", "--trace", str(trace), "--state", str(state))

    assert done.returncode == 0, done.stdout
    killed = re.search(r"node b \(pid (\d+)\) killed by SIGKILL .* as pid (\d+)", done.stdout)
    assert killed
    assert killed.group(1) != killed.group(2)
    assert (state / "composite.jpg").read_bytes().startswith(b"\xff\xd8")
    report = json.loads((state / "report.json").read_text())
    assert (report["lost"], report["ready"]) == (0, report["accepted"])
    assert report["course"]["samples"][0]["t"] < 0 < report["course"]["samples"][-1]["workers"]
    assert (state / "report.svg").read_text().startswith("<svg")
    assert json.loads((state / "stack.json").read_text())["nodes"] == []
    account = account_of(report["moment_id"], state / "store")
    assert {name: account[name] for name in ALIKE} == {name: report[name] for name in ALIKE}
    assert sum(account["rejected"].values()) == report["rejected"]
    assert account["bytes"]["photos"] == sum(row.f + row.b for row in traces.read(trace).rows)


def test_a_demo_without_a_burst_fails_in_one_line(tmp_path: Path) -> None:
    """No trace, no stack, exit 1."""
    done = run("deploy", "demo", "--trace", str(tmp_path / "none.gz"), "--state", str(tmp_path / "state"))

    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("deploy: ")
    assert not (tmp_path / "state" / "stack.json").exists()
