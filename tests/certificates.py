"""Certificates for tests of TLS, and a client's context that takes any of them."""

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest


def make_certificate(cert: Path, key: Path) -> None:
    """A fresh ECDSA P-256 certificate for `localhost` and its key, by the openssl command."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl command to make a certificate with: apt-get install openssl")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost")
    command = ("openssl", "req", "-x509", *curve, "-keyout", str(key), "-out", str(cert))
    subprocess.run(command, check=True, capture_output=True)


def made_certificate(folder: Path) -> tuple[str, str]:
    """The same, as two new files in the folder."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    make_certificate(cert, key)
    return str(cert), str(key)


def trusting() -> ssl.SSLContext:
    """A client that takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
