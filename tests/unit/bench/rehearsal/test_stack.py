"""bench.rehearsal.stack: a stack as its file tells it."""

import json
import socket
from pathlib import Path

from bench.rehearsal.stack import OWN, Place, _free_block
from tests.unit.bench.peers.stacks import STACK


def test_the_file_names_processes_and_metrics(tmp_path: Path) -> None:
    """Balancers at their admin address, nodes at their own, and those that the caller knows."""
    place = Place(tmp_path / "stack.json", {"autoscaler": "http://h:1/metrics"})
    place.file.write_text(json.dumps(STACK))

    assert place.metrics() == {
        "lb-1": "http://lb:2/metrics",
        "node-a": "http://node:3/metrics",
        "autoscaler": "http://h:1/metrics",
    }
    assert place.record().supervisor.pid == STACK["supervisor"]["pid"]


def test_workers_get_ports_in_a_row() -> None:
    """All of them are free, because the n-th worker adds n."""
    first = _free_block(3)
    for port in range(first, first + 3):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))


def test_the_own_stack_can_have_every_fault() -> None:
    """Sentinels, shards and a MinIO."""
    assert {"--redis-sentinel", "--redis-shards", "minio"} <= set(OWN)
