"""lb.front.validity: the dates of chains, old forms of dates, and files that are none."""

import base64
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lb.front.validity import SOON_S, Validity, validity
from tests.certificates import made_certificate


def pem(begin: bytes, end: bytes, *, version: bytes = b"\xa0\x03\x02\x01\x02") -> bytes:
    """A certificate that has dates, as elements, and little else; longer than 127 bytes."""
    before = version + element(2, b"\x01") + element(0x30, b"x" * 130) + element(0x30, b"")
    tbs = element(0x30, before + element(0x30, begin + end) + b"the rest")
    der = base64.encodebytes(element(0x30, tbs + b"a signature"))
    return b"-----BEGIN CERTIFICATE-----\n" + der + b"-----END CERTIFICATE-----\n"


def element(tag: int, content: bytes) -> bytes:
    """An element of DER."""
    size = len(content)
    return bytes([tag, size] if size < 128 else [tag, 0x82, size >> 8, size & 255]) + content


def seconds(*date: int) -> float:
    """The unix time of a date."""
    return datetime(*date, tzinfo=UTC).timestamp()


UTC_2030 = element(0x17, b"300102030405Z")
UTC_1950, UTC_2049 = element(0x17, b"500101000000Z"), element(0x17, b"491231235959Z")
LATE_2050 = element(0x18, b"20500101000000Z")


@pytest.mark.parametrize(
    ("begin", "end", "span"),
    [
        (UTC_1950, UTC_2030, (seconds(1950, 1, 1), seconds(2030, 1, 2, 3, 4, 5))),
        (UTC_2030, UTC_2049, (seconds(2030, 1, 2, 3, 4, 5), seconds(2049, 12, 31, 23, 59, 59))),
        (UTC_2049, LATE_2050, (seconds(2049, 12, 31, 23, 59, 59), seconds(2050, 1, 1))),
        (element(0x17, b"300102030405+0100"), UTC_2030, (float("-inf"), float("inf"))),
        (element(0x17, b""), UTC_2030, (float("-inf"), float("inf"))),
    ],
)
def test_both_forms_of_dates(begin: bytes, end: bytes, span: tuple[float, float]) -> None:
    """Two digits of a year are 1950 to 2049; what cannot be read counts as valid; with and without a version."""
    assert validity(pem(begin, end)).spans == [span]
    assert validity(pem(begin, end, version=b"")).spans == [span]


def test_the_dates_are_those_that_openssl_tells(tmp_path: Path) -> None:
    """Of a real certificate, with its key and remarks in the same file, twice."""
    cert, key = (Path(file) for file in made_certificate(tmp_path))
    said = subprocess.run(("openssl", "x509", "-in", cert, "-noout", "-dates"), check=True, capture_output=True).stdout
    dates = [line.partition("=")[2] for line in said.decode().splitlines()]
    span = tuple(datetime.strptime(one, "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC).timestamp() for one in dates)

    assert validity(b"subject=/CN=x\n" + (cert.read_bytes() + key.read_bytes()) * 2).spans == [span, span]


def test_every_certificate_of_a_chain_counts() -> None:
    """The first that expires is the end of the chain, and it is named."""
    chain = validity(pem(UTC_1950, UTC_2049) + pem(UTC_1950, UTC_2030))
    end = seconds(2030, 1, 2, 3, 4, 5)
    assert chain.ends_s == end
    assert validity(pem(UTC_1950, UTC_2049) + pem(UTC_2030, UTC_2049)).begins_s == end
    assert chain.trouble(end - SOON_S - 1) == ""
    assert chain.trouble(end - SOON_S).startswith("certificate 2 of the chain expires on 2030-01-02 03:04 UTC")
    assert chain.trouble(end).startswith("certificate 2 of the chain expired on 2030-01-02 03:04 UTC")


@pytest.mark.parametrize(
    "file", [b"", b"nothing", b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", pem(b"", b"")]
)
def test_what_has_no_dates_has_no_end(file: bytes) -> None:
    """The library judges such a file."""
    found = validity(file)
    assert (found.ends_s, found.trouble(0.0)) == (float("inf"), "")
    assert (found.begins_s, Validity([]).begins_s) == (float("-inf"), float("-inf"))
    assert Validity([]).ends_s == float("inf")
