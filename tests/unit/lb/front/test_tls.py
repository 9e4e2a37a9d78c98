"""lb.front.tls: what the context demands, and when its certificate is read again. Handshakes: tests/e2e/http."""

import logging
import os
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from lb.front.tls import Termination, TlsError
from tests.certificates import DAYS, made_certificate, trusting


@pytest.fixture
def pem(tmp_path: Path) -> tuple[str, str]:
    """A certificate and its key."""
    return made_certificate(tmp_path)


def shown(
    served: Termination, session: ssl.SSLSession | None = None, context: ssl.SSLContext | None = None
) -> ssl.SSLObject:
    """A client's side of a new connection, after the handshake and one byte; `session` is offered."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = served.wrap(to_server, to_client)
    client = (context or CLIENT).wrap_bio(to_client, to_server, session=session)
    for side in (client, server, client, server, client):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    server.write(b"x")
    assert client.read(1) == b"x"
    return client


CLIENT = trusting()  # One context: a session belongs to it.


def certificate_of(served: Termination) -> bytes | None:
    """The certificate that a new connection is shown."""
    return shown(served).getpeercert(binary_form=True)


def test_old_protocols_are_off(pem: tuple[str, str]) -> None:
    """TLS 1.2 at least; no compression, no renegotiation."""
    context = Termination(*pem).wrap(ssl.MemoryBIO(), ssl.MemoryBIO()).context
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_COMPRESSION
    assert context.options & ssl.OP_NO_RENEGOTIATION


@pytest.mark.parametrize(
    "suites", [("CHACHA20-POLY1305", "AES128-GCM-SHA256"), ("AES128-GCM-SHA256", "CHACHA20-POLY1305")]
)
def test_the_client_chooses_the_cipher(pem: tuple[str, str], suites: tuple[str, ...]) -> None:
    """Its first one; Python can order those of TLS 1.2 only."""
    context = trusting()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(":".join(f"ECDHE-ECDSA-{suite}" for suite in suites))
    cipher = shown(Termination(*pem), context=context).cipher()

    assert cipher
    assert cipher[0] == f"ECDHE-ECDSA-{suites[0]}"


def test_bad_files_are_one_line(pem: tuple[str, str]) -> None:
    """Missing, mangled, encrypted: an error at the start."""
    cert, key = pem
    with pytest.raises(TlsError, match="No such file"):
        Termination(cert, key + "x")
    locked = ("openssl", "pkey", "-in", key, "-aes128", "-passout", "pass:x", "-out", key + ".locked")
    subprocess.run(locked, check=True, capture_output=True)
    with pytest.raises(TlsError, match="without a password"):
        Termination(cert, key + ".locked")
    Path(cert).write_text("nothing")
    with pytest.raises(TlsError):
        Termination(cert, key)


def test_a_new_pair_is_served_once_it_rests(pem: tuple[str, str], tmp_path: Path) -> None:
    """Files replaced by a rename, as renewal tools do; not while they still change."""
    served = Termination(*pem)
    before = certificate_of(served)
    (tmp_path / "new").mkdir()
    for new, old in zip(made_certificate(tmp_path / "new"), pem, strict=True):
        Path(new).replace(old)
        served.look()
        assert certificate_of(served) == before
    served.look()

    assert certificate_of(served) not in {None, before}


def replaced(pem: tuple[str, str], folder: Path, kind: str, served: Termination) -> None:
    """Another pair in these files, as renewal tools do it, and two looks at it."""
    folder.mkdir()
    for new, old in zip(made_certificate(folder, kind), pem, strict=True):
        Path(new).replace(old)
    served.look()
    served.look()


def only(signatures: str) -> ssl.SSLContext:
    """A client of TLS 1.2 that takes a certificate of one type alone: ECDSA or RSA."""
    context = trusting()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"ECDHE-{signatures}-AES128-GCM-SHA256")
    return context


def test_another_type_of_key_replaces_the_certificate(pem: tuple[str, str], tmp_path: Path) -> None:
    """A context keeps one pair for each type: nobody must get the former one, neither by choice nor by default."""
    served = Termination(*pem)
    for number, kinds in enumerate([("rsa", "RSA", "ECDSA"), ("ec", "ECDSA", "RSA"), ("rsa", "RSA", "ECDSA")]):
        kind, right, wrong = kinds
        before = certificate_of(served)
        replaced(pem, tmp_path / str(number), kind, served)
        wanted = ssl.PEM_cert_to_DER_cert(Path(pem[0]).read_text())
        assert before != wanted
        assert certificate_of(served) == wanted
        assert shown(served, context=only(right)).getpeercert(binary_form=True) == wanted
        with pytest.raises(ssl.SSLError, match="no shared cipher"):
            shown(served, context=only(wrong))


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_sessions_resume_after_the_certificate_changed(pem: tuple[str, str], tmp_path: Path, kind: str) -> None:
    """Those of before and those of after: the ticket key is that of the first context."""
    served = Termination(*pem)
    sessions = [shown(served).session]
    replaced(pem, tmp_path / "new", kind, served)
    sessions.append(shown(served).session)

    assert [shown(served, session).session_reused for session in sessions] == [True, True]


def test_a_process_that_is_forked_late_reads_the_new_files_first(pem: tuple[str, str], tmp_path: Path) -> None:
    """Its parent has the pair of its own start."""
    served = Termination(*pem)
    before = certificate_of(served)
    (tmp_path / "new").mkdir()
    for new, old in zip(made_certificate(tmp_path / "new", "rsa"), pem, strict=True):
        Path(new).replace(old)
    served.catch_up()

    assert certificate_of(served) not in {None, before}


DAY_S = 86400


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (-1, "is not valid before"),
        (0, ""),
        (DAYS - 15, ""),
        (DAYS - 13, "expires on"),
        (DAYS - 1, "expires on"),
        (DAYS + 1, "expired on"),
    ],
)
def test_bad_dates_are_told_and_the_certificate_is_used(
    pem: tuple[str, str], days: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning with the date, once a day, at start and after each reading."""
    now_s = time.time() + days * DAY_S + 60
    served = Termination(*pem, clock=lambda: now_s)
    date = time.strftime("%Y-%m-%d", time.gmtime(served.validity.spans[0][days >= 0]))
    for _ in range(3):
        served.look()
        served.warn()
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * bool(said)
    assert not said or f"the certificate {said} {date}" in caplog.text
    os.utime(pem[0], ns=(1, 1))
    for _ in range(3):
        served.look()
        served.warn()
    assert len(caplog.records) == 2 * bool(said)
    assert certificate_of(served) is not None


def test_a_warning_is_repeated_after_a_day(pem: tuple[str, str], caplog: pytest.LogCaptureFixture) -> None:
    """While the program runs, also when the end comes near only then."""
    now_s = time.time() + (DAYS - 15.5) * DAY_S
    served = Termination(*pem, clock=lambda: now_s)
    for hours in range(0, 72, 6):
        now_s += hours and 6 * 3600
        served.warn()

    assert len(caplog.records) == 2


def test_a_volume_that_is_replaced_by_its_link_is_noticed(tmp_path: Path) -> None:
    """As Kubernetes mounts secrets: the files keep their names, a directory's link is renamed over."""
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
        made_certificate(tmp_path / version)
    (tmp_path / "data").symlink_to("1")
    served = Termination(str(tmp_path / "data" / "cert.pem"), str(tmp_path / "data" / "key.pem"))
    before = certificate_of(served)
    (tmp_path / "next").symlink_to("2")
    (tmp_path / "next").replace(tmp_path / "data")
    served.look()
    served.look()

    assert certificate_of(served) != before


@pytest.mark.parametrize("damage", ["key of another", "no key", "no file"])
def test_a_broken_pair_leaves_the_old_one_in_use(
    pem: tuple[str, str], tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One line in the log, not one a look; and the pair after it is read."""
    served, key = Termination(*pem), Path(pem[1])
    before = certificate_of(served)
    (tmp_path / "new").mkdir()
    new = made_certificate(tmp_path / "new")
    if damage == "no file":
        key.unlink()
    else:
        key.write_text("nothing" if damage == "no key" else Path(new[1]).read_text())
    for _ in range(4):
        served.look()
    assert certificate_of(served) == before
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "the old one stays in use" in caplog.text
    for file, old in zip(new, pem, strict=True):
        Path(file).replace(old)
    served.look()
    served.look()

    assert certificate_of(served) != before


def test_files_that_did_not_change_are_not_read(pem: tuple[str, str], caplog: pytest.LogCaptureFixture) -> None:
    """A look is two stat calls."""
    caplog.set_level(logging.INFO)
    served = Termination(*pem)
    for _ in range(3):
        served.look()
    assert caplog.records == []
    os.utime(pem[0], ns=(1, 1))
    for _ in range(3):
        served.look()

    assert len(caplog.records) == 1


def test_sessions_resume_within_one_context_only(pem: tuple[str, str]) -> None:
    """So the context is made before the fork; and Python has no means to give two contexts the same ticket key."""
    served = Termination(*pem)
    session = shown(served).session
    assert shown(served, session).session_reused
    assert not shown(Termination(*pem), session).session_reused

    assert [name for name in dir(ssl.SSLContext) if "ticket" in name] == ["num_tickets"]
