"""What a report tells of a stack's settings: what its processes share, and neither secrets nor places."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.replay.known import read_environment, settings_of, shared


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("SNAPSURGE_LB_RELAYS_MAX", "7", True),
        ("SNAPSURGE_PROCESSORS_WORKERS_MAX", "4", True),
        ("SNAPSURGE_LB_TICKET_SECRET", "s", False),
        ("SNAPSURGE_STORAGE_S3_ACCESS_KEY", "s", False),
        ("SNAPSURGE_INGEST_ADVERTISE", "http://10.0.0.1:80", False),
        ("SNAPSURGE_LB_SNAPSHOT", "/var/lib/x.json", False),
        ("SNAPSURGE_INGEST_NODE_ID", "node-1", False),
        ("SNAPSURGE_INGEST_PORT", "8080", False),
        ("SNAPSURGE_AUTH_SECRET", "s", False),
        ("PATH", "x", False),
    ],
)
def test_secrets_addresses_and_paths_are_left_out(name: str, value: str, told: bool) -> None:  # noqa: FBT001
    """A report is shown to anyone, and two equal stacks differ in their places."""
    assert shared([{name: value}] * 2) == ({name: value} if told else {})


def test_only_what_all_processes_of_a_tier_share_is_told() -> None:
    """What differs is no setting of the tier."""
    first = {"SNAPSURGE_LB_A": "1", "SNAPSURGE_LB_B": "1", "SNAPSURGE_LB_C": "1"}

    assert shared([first, {"SNAPSURGE_LB_A": "1", "SNAPSURGE_LB_B": "2"}]) == {"SNAPSURGE_LB_A": "1"}
    assert shared([]) == {}


def test_settings_are_read_from_the_processes_of_a_stack(tmp_path: Path) -> None:
    """With the numbers of balancers and nodes; a process of another user, or none, tells nothing."""
    environment = {"SNAPSURGE_LB_RELAYS_MAX": "7", "SNAPSURGE_LB_TICKET_SECRET": "hidden"}
    code = "import sys; print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdout.readline()
        path = tmp_path / "stack.json"
        path.write_text(json.dumps({"balancers": [{"url": "u", "pid": process.pid}], "nodes": [{"pid": 0}] * 2}))
        found = settings_of(path)
        process.stdin.close()

    assert found == {"balancers": "1", "nodes": "2", "SNAPSURGE_LB_RELAYS_MAX": "7"}
    assert settings_of(None) == settings_of(tmp_path / "none.json") == {}
    assert read_environment(2**22 + os.getpid()) == {}
