"""lb.http1.stamps: what a stamp covers; that a node reads the same bytes is in tests/contract/test_stamps.py."""

from itertools import pairwise

import msgspec
import pytest

from lb.http1.origin import Origin
from lb.http1.stamps import Stamper

ORIGIN = Origin(b"203.0.113.9", b"198.51.100.1, 203.0.113.9")
SECRET = b"a-secret-of-16-bytes"


def test_without_a_secret_nothing_is_written() -> None:
    """The default: a node on loopback believes loopback."""
    assert Stamper(()).line(ORIGIN, 1_700_000_000_123, b"id") == b""


def test_a_stamp_is_one_line_of_hexadecimal_digits() -> None:
    """128 bits; the same for the same words."""
    first, again = (Stamper([SECRET]).line(ORIGIN, 1_700_000_000_123, b"id") for _ in range(2))

    name, _, value = first.partition(b": ")
    assert (name, len(value), value[-2:]) == (b"Snapsurge-Stamp", 34, b"\r\n")
    assert first == again
    assert bytes.fromhex(value[:-2].decode())


def test_everything_that_a_node_believes_is_covered() -> None:
    """A change of any part is another stamp, and so is a byte that moves from one part to the next."""
    stamper = Stamper([SECRET])
    changed = [
        stamper.line(ORIGIN, 1_700_000_000_123, b"id"),
        stamper.line(ORIGIN, 1_700_000_000_124, b"id"),
        stamper.line(ORIGIN, 1_700_000_000_123, b"ie"),
        stamper.line(msgspec.structs.replace(ORIGIN, retry=True), 1_700_000_000_123, b"id"),
        stamper.line(msgspec.structs.replace(ORIGIN, tried_ms=1_700_000_000_200), 1_700_000_000_123, b"id"),
        stamper.line(msgspec.structs.replace(ORIGIN, forwarded_for=b"203.0.113.9"), 1_700_000_000_123, b"id"),
        stamper.line(msgspec.structs.replace(ORIGIN, forwarded_for=b"d203.0.113.9"), 1_700_000_000_123, b"i"),
    ]

    assert all(one != other for one, other in pairwise(sorted(changed)))


@pytest.mark.parametrize("secret", [b"another-secret-16b", b"x" * 16, b"x" * 500])
def test_a_secret_of_any_length_is_its_own_key(secret: bytes) -> None:
    """The first of several signs."""
    said = Stamper([secret, SECRET]).line(ORIGIN, 1, b"id")

    assert said == Stamper([secret]).line(ORIGIN, 1, b"id") != Stamper([SECRET]).line(ORIGIN, 1, b"id")
