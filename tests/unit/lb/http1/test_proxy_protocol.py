"""lb.http1.proxy_protocol: both versions, one byte at a time, and everything that is nearly one."""

import contextlib
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.http1.proxy_protocol import SIGNATURE, ProxyError, ProxyHeader, parse

V4 = socket.inet_aton("10.1.2.3") + socket.inet_aton("10.0.0.1") + b"\x01\x00\x01\xbb"
V6 = socket.inet_pton(socket.AF_INET6, "2001:db8::1") * 2 + b"\x01\x00\x01\xbb"


def v2(command: int, family: int, block: bytes, length: int | None = None) -> bytes:
    """A version 2 header."""
    return SIGNATURE + bytes([command, family]) + (len(block) if length is None else length).to_bytes(2, "big") + block


GOOD = {
    "v1 TCP4": (b"PROXY TCP4 10.1.2.3 10.0.0.1 56324 443\r\n", "10.1.2.3"),
    "v1 TCP6": (b"PROXY TCP6 2001:db8::1 ::1 0 65535\r\n", "2001:db8::1"),
    "v1 unknown": (b"PROXY UNKNOWN\r\n", ""),
    "v1 unknown with more": (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", ""),
    "v2 TCP4": (v2(0x21, 0x11, V4), "10.1.2.3"),
    "v2 TCP6": (v2(0x21, 0x21, V6), "2001:db8::1"),
    "v2 UDP4": (v2(0x21, 0x12, V4), "10.1.2.3"),
    "v2 with TLVs": (v2(0x21, 0x11, V4 + b"\x01\x00\x02h2"), "10.1.2.3"),
    "v2 LOCAL": (v2(0x20, 0x00, b""), ""),
    "v2 LOCAL with addresses": (v2(0x20, 0x11, V4), ""),
    "v2 unspecified": (v2(0x21, 0x00, b""), ""),
    "v2 unix": (v2(0x21, 0x31, bytes(216)), ""),
}
BAD = {
    "http": b"GET / HTTP/1.1\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00",
    "lower case": b"proxy TCP4 10.1.2.3 10.0.0.1 1 2\r\n",
    "bare LF": b"PROXY TCP4 10.1.2.3 10.0.0.1 1 2\n",
    "bare CR inside": b"PROXY UNKNOWN \r x\r\n",
    "two spaces": b"PROXY TCP4  10.1.2.3 10.0.0.1 1 2\r\n",
    "trailing space": b"PROXY TCP4 10.1.2.3 10.0.0.1 1 2 \r\n",
    "no port": b"PROXY TCP4 10.1.2.3 10.0.0.1 1\r\n",
    "port too high": b"PROXY TCP4 10.1.2.3 10.0.0.1 1 65536\r\n",
    "port with zero": b"PROXY TCP4 10.1.2.3 10.0.0.1 01 2\r\n",
    "octet too high": b"PROXY TCP4 256.1.2.3 10.0.0.1 1 2\r\n",
    "octet with zero": b"PROXY TCP4 010.1.2.3 10.0.0.1 1 2\r\n",
    "family mixed": b"PROXY TCP4 ::1 10.0.0.1 1 2\r\n",
    "other family": b"PROXY UDP4 10.1.2.3 10.0.0.1 1 2\r\n",
    "unknownx": b"PROXY UNKNOWNX\r\n",
    "too long": b"PROXY UNKNOWN " + b"x" * 100 + b"\r\n",
    "v2 version": v2(0x11, 0x11, V4),
    "v2 command": v2(0x22, 0x11, V4),
    "v2 family": v2(0x21, 0x41, V4),
    "v2 short": v2(0x21, 0x21, V4),
    "v2 long": v2(0x21, 0x11, V4, length=60000),
    "v2 signature": b"\r\n\r\n\x00\r\nQUIT\r" + V4,
}


@pytest.mark.parametrize("name", GOOD)
def test_headers_are_read_whole_and_in_bytes(name: str) -> None:
    """Incomplete until the last byte; then its length and address, whatever follows."""
    raw, address = GOOD[name]
    assert parse(raw + b"GET / HTTP/1.1\r\n") == parse(raw) == ProxyHeader(len(raw), address)
    for end in range(1, len(raw)):
        assert parse(raw[:end]) is None, end


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_quite_one_is_refused(name: str) -> None:
    """At once or byte by byte, and never later than its end."""
    raw = BAD[name]
    with pytest.raises(ProxyError):
        parse(raw)
    ends = (parse(raw[:end]) for end in range(1, len(raw) + 1))
    with pytest.raises(ProxyError):
        assert all(found is None for found in ends)


@given(st.binary(max_size=80) | st.builds(lambda tail: SIGNATURE + tail, st.binary(max_size=60)))
def test_no_bytes_break_it(data: bytes) -> None:
    """Any bytes give a header inside them, a wish for more, or an error."""
    with contextlib.suppress(ProxyError):
        found = parse(data) if data else None
        assert found is None or found.length <= len(data)
