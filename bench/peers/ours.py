"""Our balancer as an operator starts it: default settings, one process, and the key from X-User as for the peers."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

PROGRAM: Final = (sys.executable, "-m", "lb")


def command(port: int, nodes: Sequence[int], folder: Path, certificate: Path | None) -> list[str]:
    """The command that starts our balancer; the certificate file holds chain and key."""
    del folder  # our balancer needs no configuration file
    listed = [word for node in nodes for word in ("--node", f"n{node}=127.0.0.1:{node}")]
    tls = ["--tls-cert", str(certificate), "--tls-key", str(certificate)] if certificate else []
    place = ["--listen", f"127.0.0.1:{port}", "--admin", "off", "--check", "off", "--hash-on", "header:X-User"]
    return [*PROGRAM, *place, *listed, *tls]


def speaks_tls() -> bool:
    """Whether this version of the balancer has a TLS option."""
    told = subprocess.run([*PROGRAM, "--help"], capture_output=True, text=True, check=True)
    return "--tls-cert" in told.stdout
