"""lb.front.tls: what the context demands, and that a bad pair of files changes nothing. Handshakes: tests/e2e/http."""

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from lb.front.tls import Termination, TlsError


@pytest.fixture
def pem(tmp_path: Path) -> tuple[str, str]:
    """A certificate and its key."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl command to make a certificate with: apt-get install openssl")
    cert, key = str(tmp_path / "c.pem"), str(tmp_path / "k.pem")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost")
    subprocess.run(("openssl", "req", "-x509", *curve, "-keyout", key, "-out", cert), check=True, capture_output=True)
    return cert, key


def test_old_protocols_are_off(pem: tuple[str, str]) -> None:
    """TLS 1.2 at least; no compression, no renegotiation."""
    context = Termination(*pem).context
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_COMPRESSION
    assert context.options & ssl.OP_NO_RENEGOTIATION


def test_bad_files_are_one_line_and_change_nothing(pem: tuple[str, str]) -> None:
    """Missing, mangled, encrypted: an error at the start; at a reload the old pair goes on."""
    cert, key = pem
    with pytest.raises(TlsError, match="No such file"):
        Termination(cert, key + "x")
    served = Termination(cert, key)
    locked = ("openssl", "pkey", "-in", key, "-aes128", "-passout", "pass:x", "-out", key + ".locked")
    subprocess.run(locked, check=True, capture_output=True)
    with pytest.raises(TlsError, match="without a password"):
        Termination(cert, key + ".locked")
    Path(cert).write_text("nothing")
    with pytest.raises(TlsError):
        served.reload()
