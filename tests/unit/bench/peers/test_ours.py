"""bench.peers.ours: a command line that our balancer takes."""

import re
import subprocess
from pathlib import Path

from bench.peers.ours import PROGRAM, command, speaks_tls
from bench.peers.started import ROOT


def test_every_option_exists(tmp_path: Path) -> None:
    """`python -m lb --help` names each; the TLS ones when it has them."""
    told = subprocess.run([*PROGRAM, "--help"], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    words = command(8080, [9001], tmp_path, tmp_path / "lb.pem" if speaks_tls() else None)

    assert {word for word in words if word.startswith("--")} <= set(re.findall(r"--[a-z-]+", told))
    assert speaks_tls() == ("--tls-cert" in told)
    assert "header:X-User" in words
