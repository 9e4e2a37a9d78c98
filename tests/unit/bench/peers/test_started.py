"""bench.peers.started: processes come up on their port, or say why not, and are gone at the end."""

import socket
import ssl
import sys
from pathlib import Path

import pytest

from bench.peers.started import StartError, certificate, free_port, process

LISTENS = "import signal, socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); signal.pause()"


def test_a_process_is_there_while_needed() -> None:
    """It listens inside the block and is reaped after it."""
    port = free_port()
    with process([sys.executable, "-c", LISTENS, str(port)], port) as running:
        socket.create_connection(("127.0.0.1", port)).close()

    assert running.returncode is not None


def test_a_process_that_says_much_is_not_stopped_by_it() -> None:
    """It listens after 1 MB of standard error that nobody has read."""
    port = free_port()
    talks = f"import sys; sys.stderr.write('x' * 1_000_000); {LISTENS}"
    with process([sys.executable, "-c", talks, str(port)], port):
        socket.create_connection(("127.0.0.1", port)).close()


def test_what_it_said_when_it_failed_is_passed_on() -> None:
    """The last words are in the error."""
    with pytest.raises(StartError, match="no such luck"), process([sys.executable, "-c", "exit('no such luck')"], 1):
        pass


def test_the_certificate_is_ecdsa_and_holds_its_key(tmp_path: Path) -> None:
    """One file that all balancers take, and clients can verify against."""
    file = certificate(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)

    assert b"PRIVATE KEY" in file.read_bytes()
    assert ssl.create_default_context(cafile=file).get_ca_certs()[0]["subject"] == ((("commonName", "lb.example"),),)
