"""bench.peers.nginx: its configuration, and its own opinion of it where it is installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

from bench.peers.nginx import command, config
from bench.peers.started import PATH, certificate, free_port

PROGRAM = shutil.which("nginx", path=PATH)


def test_the_configuration_names_port_nodes_and_key() -> None:
    """What makes it comparable with the others."""
    text = config(8080, [9001, 9002], Path("/tmp/x"), None)  # noqa: S108 - only shown

    assert "listen 127.0.0.1:8080 backlog=4096;" in text
    assert "hash $http_x_user consistent;\n    server 127.0.0.1:9001;\n    server 127.0.0.1:9002;" in text
    assert "proxy_request_buffering off;" in text
    assert "ssl" not in text


@pytest.mark.skipif(not PROGRAM, reason="needs nginx")
@pytest.mark.parametrize("tls", [False, True])
def test_nginx_takes_the_configuration(tmp_path: Path, tls: bool) -> None:  # noqa: FBT001
    """Plain and with TLS."""
    words = command(free_port(), [9001], tmp_path, certificate(tmp_path) if tls else None)

    assert PROGRAM
    assert b"test is successful" in subprocess.run([PROGRAM, "-t", *words[1:]], capture_output=True, check=False).stderr
