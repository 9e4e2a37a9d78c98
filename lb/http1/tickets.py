"""Tickets: the balancer's signed word on when it first saw a request, given with a 502, 503, 504 or 507 to a POST.

The retry that brings it back counts as received at its first try, so nobody is late because we were full or broken,
and nobody gains by hammering. A ticket is base64url of version, first time, expiry and a MAC (HMAC-SHA256, RFC 2104,
cut to 128 bits) over these and what it is bound to: token subject, target, length, `Content-Digest` (RFC 9530).

- The subject is the one that places a request, not verified: a ticket for another user's is worth nothing to whoever
  cannot post as that user, and the node checks the token. So a renewed token keeps its ticket.
- The length is bound, so that no time can be reserved for photos not yet taken. A chunked request has none and gets a
  ticket only with a digest, which binds more.
- A retry that is refused again gets a new ticket with the same first time and ten more minutes: the outage is ours, and
  may last longer than one ticket. Nothing else renews it, and after a day it is over.
- The last byte of the expiry says which places of the key's order refused the request (`refusals.py`). There it costs
  neither length nor a version: a balancer of before takes it for a quarter of a second, a ticket of before names some
  place by chance, and its retry goes past that node, which serves as well. It is under the MAC like all else.
- Two secrets may be accepted: the first signs. Without a secret there are no tickets.

Pure: times and secrets come in. It does not know what a POST means, nor who counts what it says.
"""

import base64
import hmac
import re
import struct
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from .head import RequestHead, ResponseHead
from .keys import subject

STATUSES: Final = frozenset({502, 503, 504, 507})
LIFE_MS: Final = 600_000  # design.md, section 5
AGE_MS_MAX: Final = 86_400_000  # from the first try; the longest that a service accepts what comes late
AHEAD_MS_MAX: Final = 2_000  # how far the clock of the balancer that signed may be ahead of ours
MAC_BYTES: Final = 16
VERSION: Final = 1

_TIMES = struct.Struct(">BQQ")  # version, first try and expiry in unix ms
_TEXT = re.compile(rb"[0-9A-Za-z_-]{%d}" % ((_TIMES.size + MAC_BYTES) * 4 // 3))
_NAME = b"snapsurge-ticket"
PLACES_MASK: Final = 0xFF  # the last byte of the expiry: one bit for each place of the key's order

Outcome = Literal["honoured", "malformed", "foreign", "expired", "ahead"]


class Verdict(msgspec.Struct, frozen=True):
    """What a ticket is worth; `first_ms` is the first try's time in unix ms, 0 unless it is honoured.

    `refused` are the places of the key's order that refused it.
    """

    outcome: Outcome
    first_ms: int = 0
    refused: int = 0


class Tickets:
    """Gives and reads tickets under these secrets."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._secrets = tuple(secrets)

    def give(self, head: RequestHead, first_ms: int, now_ms: int, refused: int = 0) -> bytes:
        """A ticket for a request first seen then; empty where none can be given."""
        bound = _bound(head)
        if head.method != b"POST" or bound is None or not self._secrets or now_ms - first_ms > AGE_MS_MAX:
            return b""
        times = _TIMES.pack(VERSION, first_ms, (now_ms + LIFE_MS) & ~PLACES_MASK | refused)
        return base64.urlsafe_b64encode(times + _mac(self._secrets[0], times, bound))

    def read(self, head: RequestHead, ticket: bytes, now_ms: int) -> Verdict:
        """What the ticket says for this request. A forged one looks like one for another request: both are foreign."""
        if not _TEXT.fullmatch(ticket):
            return Verdict("malformed")
        raw = base64.urlsafe_b64decode(ticket)  # any text of this form is some bytes
        times, mac = raw[: _TIMES.size], raw[_TIMES.size :]
        version, first_ms, expires_ms = _TIMES.unpack(times)
        if version != VERSION:
            return Verdict("malformed")
        bound = _bound(head)
        if head.method != b"POST" or bound is None or not self._signed(times, bound, mac):
            return Verdict("foreign")
        if max(first_ms, (expires_ms & ~PLACES_MASK) - LIFE_MS) > now_ms + AHEAD_MS_MAX:
            return Verdict("ahead")
        if now_ms > expires_ms or now_ms - first_ms > AGE_MS_MAX:
            return Verdict("expired")
        return Verdict("honoured", first_ms, expires_ms & PLACES_MASK)

    def _signed(self, times: bytes, bound: bytes, mac: bytes) -> bool:
        return any(hmac.compare_digest(_mac(secret, times, bound), mac) for secret in self._secrets)


def part(claims: list[bytes]) -> tuple[list[bytes], bytes | None]:
    """The field lines without tickets, and the ticket: None where there is none, empty where there are several."""
    kept = [claim for claim in claims if not _is_ticket(claim)]
    if len(kept) == len(claims):
        return claims, None
    ticket = next(claim for claim in claims if _is_ticket(claim)).partition(b":")[2].strip(b" \t")
    return kept, ticket if len(kept) + 1 == len(claims) else b""


def stamped(head: ResponseHead, ticket: bytes) -> ResponseHead:
    """A node's answer with our ticket in place of any that it wrote itself; server errors are not `plain`."""
    fields = [field for field in head.fields if not _is_ticket(field)]
    return msgspec.structs.replace(head, fields=[*fields, b"Snapsurge-Ticket: " + ticket] if ticket else fields)


def _is_ticket(field: bytes) -> bool:
    return field.partition(b":")[0].lower() == _NAME


def _bound(head: RequestHead) -> bytes | None:
    """All that a ticket is bound to, each part with its length before it; None where neither length nor digest is."""
    digest = _digest(head)
    if head.chunked and not digest:
        return None
    length = b"chunked" if head.chunked else b"%d" % (head.length or 0)
    who = subject(head.authorization) or head.authorization
    return b"".join(b"%d:%b" % (len(part), part) for part in (who, head.target, length, digest))


def _digest(head: RequestHead) -> bytes:
    lines = head.ordinary.split(b"\r\n")[1:] if head.ordinary else head.fields
    named = (line.partition(b":") for line in lines)
    return b",".join(value.strip(b" \t") for name, _, value in named if name.lower() == b"content-digest")


def _mac(secret: bytes, times: bytes, bound: bytes) -> bytes:
    return hmac.digest(secret, times + bound, "sha256")[:MAC_BYTES]
