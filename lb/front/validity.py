"""From when until when the certificates of a PEM file are valid, read from their DER form. Pure.

Python's ssl tells these dates only of a peer's certificate. The library has read the file before, so what is malformed
here is at most a date in an old form; it counts as valid, because clients judge it, not we.

Source: RFC 5280, sections 4.1 and 4.1.2.5.
"""

import re
from binascii import Error, a2b_base64
from datetime import UTC, datetime
from typing import Final

import msgspec

SOON_S: Final = 14 * 86400  # Tools renew a month before the end, so they have failed for a fortnight.
_PEM: Final = re.compile(rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END")
_VERSION: Final = 0xA0
_UTC_TIME: Final = 0x17  # With two digits for the year: 1950 to 2049.


class Validity(msgspec.Struct, frozen=True):
    """The dates of a chain in unix seconds: of each certificate, the server's own first."""

    spans: list[tuple[float, float]]

    @property
    def ends_s(self) -> float:
        """When the first of them expires; infinite if no date could be read."""
        return min((end for _, end in self.spans), default=float("inf"))

    @property
    def begins_s(self) -> float:
        """When all of them are valid; minus infinity if no date could be read."""
        return max((begin for begin, _ in self.spans), default=float("-inf"))

    def trouble(self, now_s: float) -> str:
        """What a person must know, now; empty if all is well for `SOON_S`."""
        for number, (begin, end) in enumerate(self.spans, 1):
            name = "the certificate" if number == 1 else f"certificate {number} of the chain"
            if now_s < begin:
                return f"{name} is not valid before {_date(begin)}: clients refuse it; check this machine's clock"
            if now_s >= end:
                return f"{name} expired on {_date(end)}: clients refuse it; renew it now"
            if now_s >= end - SOON_S:
                return f"{name} expires on {_date(end)}: renew it; check why automatic renewal has not"
        return ""


def validity(pem: bytes) -> Validity:
    """The dates of the certificates in a file, which may also have a key."""
    return Validity([_span(found[1]) for found in _PEM.finditer(pem)])


def _span(base64: bytes) -> tuple[float, float]:
    try:
        der = a2b_base64(base64)
        _, at, _ = _element(der, 0)  # Certificate
        _, at, _ = _element(der, at)  # TBSCertificate
        for _ in range(3 + (der[at] == _VERSION)):  # version, if it is not 1; serialNumber, signature, issuer
            _, _, at = _element(der, at)
        _, at, _ = _element(der, at)  # Validity
        tag, start, end = _element(der, at)
        begins_s = _seconds(tag, der[start:end])
        tag, start, end = _element(der, end)
        return begins_s, _seconds(tag, der[start:end])
    except (Error, IndexError, ValueError):
        return float("-inf"), float("inf")


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """Tag, start and end of the content of the element at this offset."""
    length, start = der[at + 1], at + 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[at + 2 : start], "big")
    return der[at], start, start + length


def _seconds(tag: int, time: bytes) -> float:
    text = time.decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text[0] >= "5" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
