"""bench.peers.haproxy: its configuration, and its own opinion of it where it is installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

from bench.peers.haproxy import command, config
from bench.peers.started import PATH, certificate, free_port

PROGRAM = shutil.which("haproxy", path=PATH)


def test_the_configuration_names_port_nodes_and_key() -> None:
    """What makes it comparable with the others."""
    text = config(8080, [9001, 9002], None)

    assert "bind 127.0.0.1:8080 backlog 4096\n" in text
    assert "balance hdr(X-User)\n  hash-type consistent\n" in text
    assert "server n9001 127.0.0.1:9001 " in text
    assert "ssl" not in text


@pytest.mark.skipif(not PROGRAM, reason="needs haproxy")
@pytest.mark.parametrize("tls", [False, True])
def test_haproxy_takes_the_configuration(tmp_path: Path, tls: bool) -> None:  # noqa: FBT001
    """Plain and with TLS."""
    words = command(free_port(), [9001], tmp_path, certificate(tmp_path) if tls else None)

    assert PROGRAM
    assert subprocess.run([PROGRAM, "-c", *words[1:]], capture_output=True, check=False).returncode == 0
