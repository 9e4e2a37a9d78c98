"""Certificates for tests of TLS, and a client's context that takes any of them."""

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

DAYS = 30
KEYS = {"ec": ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"), "rsa": ("-newkey", "rsa:2048")}


def make_certificate(cert: Path, key: Path, kind: str = "ec", days: int = DAYS) -> None:
    """A fresh certificate for `localhost`, valid for so many days from now, and its key, by the openssl command."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl command to make a certificate with: apt-get install openssl")
    command = ("openssl", "req", "-x509", *KEYS[kind], "-nodes", "-days", str(days), "-subj", "/CN=localhost")
    subprocess.run((*command, "-keyout", str(key), "-out", str(cert)), check=True, capture_output=True)


def made_certificate(folder: Path, kind: str = "ec", days: int = DAYS) -> tuple[str, str]:
    """The same, as two new files in the folder."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    make_certificate(cert, key, kind, days)
    return str(cert), str(key)


def trusting() -> ssl.SSLContext:
    """A client that takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
