"""Processes of a contest: starts each on a free port, waits until it listens, and always ends it by its process id."""

import contextlib
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Final

from ..errors import BenchError

READY_S: Final = 120.0  # a busy machine starts a program slowly; a program that has ended is seen at once
END_S: Final = 10.0
ROOT: Final = Path(__file__).resolve().parents[2]
PATH: Final = f"{os.defpath}:/usr/local/sbin:/usr/sbin:/sbin"  # Debian keeps haproxy and nginx out of a user's PATH


class StartError(BenchError):
    """A program of the bench could not be started or ended early; the text says which and why."""


def free_port() -> int:
    """A loopback port on which no process listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def process(command: Sequence[str], port: int | None) -> Iterator[subprocess.Popen[bytes]]:
    """Run the program until the block ends; yields once it listens, at once without a port.

    Standard error is shown only on failure. It goes to a file, because a pipe that nobody reads stops a program that
    logs every upload.
    """
    with tempfile.TemporaryFile() as log:
        running = subprocess.Popen(
            [*("env", f"PATH={PATH}")[: 2 * ("/" not in command[0])], *command],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
        try:
            if port is not None:
                _await_port(running, port, log)
            yield running
        finally:
            running.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(timeout=END_S)
            running.kill()
            running.wait()


def _await_port(running: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        if running.poll() is not None:
            log.seek(0)
            said = log.read().decode(errors="replace")
            raise StartError(f"{running.args!r} ended: {said.strip()[-500:]}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise StartError(f"{running.args!r} does not listen on {port}")


def certificate(folder: Path) -> Path:
    """Make a self-signed ECDSA P-256 certificate for lb.example; the file holds chain and key."""
    file, key, chain = folder / "lb.pem", folder / "lb.key", folder / "lb.crt"
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    name = ("-subj", "/CN=lb.example", "-addext", "subjectAltName=DNS:lb.example")
    place = ("-keyout", str(key), "-out", str(chain))
    subprocess.run(
        ["openssl", "req", "-x509", *curve, "-noenc", "-days", "2", *name, *place], check=True, capture_output=True
    )
    file.write_bytes(chain.read_bytes() + key.read_bytes())
    return file
