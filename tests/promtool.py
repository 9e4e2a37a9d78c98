"""Runs `promtool`, of Debian's package `prometheus`; a test that needs it skips where it is missing."""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest


def promtool(*words: str | Path, text: bytes = b"") -> str:
    """What the command says, on both outputs; fails the test when it refuses its input, skips it without promtool."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is missing: apt-get install prometheus")
    done = subprocess.run([program, *words], input=text, capture_output=True, check=False)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said


def assert_clean(page: bytes) -> None:
    """A page of `/metrics`, in the text form, keeps all conventions: promtool has not a word about it."""
    assert page.count(b"\n") > 10
    assert promtool("check", "metrics", text=page) == ""


def parses(*queries: str) -> None:
    """Every query is PromQL."""
    rules = [{"record": f"snapsurge:parsed_{number}", "expr": query} for number, query in enumerate(queries)]
    with tempfile.NamedTemporaryFile(suffix=".yml") as file:
        file.write(json.dumps({"groups": [{"name": "parsed", "rules": rules}]}).encode())  # JSON is YAML
        file.flush()
        promtool("check", "rules", file.name)
