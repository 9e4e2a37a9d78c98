"""The PROXY protocol, versions 1 and 2: a proxy in front names the client's address before the first byte of HTTP.

Format: haproxy.org, doc/proxy-protocol.txt. A port that expects the header accepts no connection without one; else a
client could write the header itself. Strict: one spelling, no leading zeros, lengths that fit. `LOCAL` (the proxy's own
health check) and `UNKNOWN` mean the connection's own address. TLVs are skipped, and no checksum in them is verified.
Pure: bytes in, an address out.
"""

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address

import msgspec

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
V1_BYTES_MAX = 107  # The longest line with its CRLF, by the format.
V2_BYTES_MAX = 16 + 2048  # Addresses and TLVs; certificates in TLVs are not sent by default.
_V1 = re.compile(
    rb"PROXY (TCP4|TCP6) ([0-9a-fA-F.:]{2,39}) ([0-9a-fA-F.:]{2,39}) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4})"
)
_KINDS = {
    0x11: (IPv4Address, 4, 12),
    0x12: (IPv4Address, 4, 12),
    0x21: (IPv6Address, 16, 36),
    0x22: (IPv6Address, 16, 36),
}


class ProxyError(Exception):
    """The bytes are no valid PROXY header; the connection is closed without an answer."""


class ProxyHeader(msgspec.Struct, frozen=True):
    """The header's length in bytes, and the client's address; an empty one means the connection's own."""

    length: int
    address: str


def parse(data: bytes) -> ProxyHeader | None:
    """Parse the header at the start of `data`; raises ProxyError as early as possible.

    None while the header is incomplete: then all bytes so far belong to it.
    """
    if data.startswith(SIGNATURE[: len(data)]) and data:
        return _version_2(data)
    if data.startswith(b"PROXY "[: len(data)]):
        return _version_1(data)
    raise ProxyError("no PROXY header")


def _version_1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\n", 0, V1_BYTES_MAX)
    if end < 0:
        if len(data) >= V1_BYTES_MAX:
            raise ProxyError("line too long")
        return None
    line = data[: end - 1]
    if data[end - 1] != 13 or b"\r" in line:
        raise ProxyError("line does not end with CRLF")
    if line == b"PROXY UNKNOWN" or line.startswith(b"PROXY UNKNOWN "):
        return ProxyHeader(end + 1, "")
    found = _V1.fullmatch(line)
    if found is None or int(found[4]) > 65535 or int(found[5]) > 65535:
        raise ProxyError("malformed line")
    kind = IPv4Address if found[1] == b"TCP4" else IPv6Address
    try:
        source, _ = kind(found[2].decode()), kind(found[3].decode())
    except AddressValueError as error:
        raise ProxyError("malformed address") from error
    return ProxyHeader(end + 1, str(source))


def _version_2(data: bytes) -> ProxyHeader | None:
    if len(data) > 12 and data[12] not in {0x20, 0x21}:
        raise ProxyError("unknown version or command")
    if len(data) > 13 and data[13] not in {0x00, 0x31, 0x32, *_KINDS}:
        raise ProxyError("unknown family")
    if len(data) < 16:
        return None
    length = 16 + int.from_bytes(data[14:16], "big")
    kind = _KINDS.get(data[13])
    if length > V2_BYTES_MAX or (kind and data[12] == 0x21 and length < 16 + kind[2]):
        raise ProxyError("impossible length")
    if len(data) < length:
        return None
    if data[12] == 0x20 or kind is None:
        return ProxyHeader(length, "")
    return ProxyHeader(length, str(kind[0](data[16 : 16 + kind[1]])))
