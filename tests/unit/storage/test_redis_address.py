"""storage.redis_address: the files of TLS; all else is in tests/contract/test_redis_addresses.py."""

import shutil
import subprocess
from pathlib import Path

import pytest

from storage.redis_address import read


def test_the_files_of_tls_are_read_at_once(tmp_path: Path) -> None:
    """A certificate file may hold its key; one that is no certificate is refused at start."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl command to make a certificate with: apt-get install openssl")
    cert, key = tmp_path / "c.pem", tmp_path / "k.pem"
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=h")
    command = ("openssl", "req", "-x509", *curve, "-keyout", str(key), "-out", str(cert))
    subprocess.run(command, check=True, capture_output=True)
    both = tmp_path / "both.pem"
    both.write_text(cert.read_text() + key.read_text())

    assert read(f"rediss://h?ssl_ca_certs={cert}&ssl_certfile={both}").options["ssl_keyfile"] == str(both)
    with pytest.raises(ValueError, match="TLS with ssl_certfile: "):
        read(f"rediss://h?ssl_certfile={cert}")
