"""Tickets: signed statements of when the balancer first received a request, sent with a 502, 503, 504 or 507 to a POST.

The client sends the ticket with its retry, which then counts as received at its first try. So nobody is late because
the service was full or broken, and retrying more often gains nothing.

The first secret signs, all are accepted; without a secret there are no tickets. Pure: times and secrets come in.
"""

import base64
import hmac
import re
import struct
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from .begun import NAME as BEGUN
from .head import RequestHead, ResponseHead
from .keys import subject

STATUSES: Final = frozenset({502, 503, 504, 507})
# Ten minutes; a retry that is refused again gets a new ticket, because an outage may last longer than one.
LIFE_MS: Final = 600_000
AGE_MS_MAX: Final = 86_400_000  # since the first try: later than this no service accepts a late upload
AHEAD_MS_MAX: Final = 2_000  # how far the clock of the balancer that signed may be ahead
MAC_BYTES: Final = 16
VERSION: Final = 1

_TIMES = struct.Struct(">BQQ")  # version, first try and expiry in unix ms
_TEXT = re.compile(rb"[0-9A-Za-z_-]{%d}" % ((_TIMES.size + MAC_BYTES) * 4 // 3))
_NAME = b"snapsurge-ticket"
_CHECKED = re.compile(rb"(?:^|,)[ \t]*sha-(?:256|512)=:[A-Za-z0-9+/]{43,}={0,2}:")
_DIGESTS: Final = (b"content-digest", b"repr-digest")
# By draft-ietf-httpbis-resumable-upload: the value with which the content is the whole upload.
_COMPLETE: Final = {b"upload-complete": b"?1", b"upload-incomplete": b"?0"}
_LENGTH: Final = b"upload-length"  # of the whole
_COUNT = re.compile(rb"[0-9]{1,15}")  # as nodes read it
_CONTENT: Final = frozenset({*_DIGESTS, *_COMPLETE, _LENGTH})
# The last byte of the expiry: one bit for each position of the key's order whose node refused. It changes neither size
# nor version: an older balancer reads it as up to a quarter of a second of expiry, and an older ticket makes the retry
# avoid a random node, which does no harm.
POSITIONS_MASK: Final = 0xFF

Outcome = Literal["honoured", "malformed", "foreign", "expired", "ahead"]


class Verdict(msgspec.Struct, frozen=True):
    """The result of reading a ticket; `first_ms` is the time of the first try in unix ms, 0 unless it is honoured.

    `refused` has a bit for each position of the key's order whose node refused the request.
    """

    outcome: Outcome
    first_ms: int = 0
    refused: int = 0


class Tickets:
    """Issues and reads tickets with these secrets."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._secrets = tuple(secrets)

    def give(self, head: RequestHead, first_ms: int, now_ms: int, refused: int = 0, *, early: bool = False) -> bytes:
        """Issue a ticket for a request first received at `first_ms`; empty where none can be issued.

        `early`: nothing has failed yet, so a digest must be bound.
        """
        if head.method != b"POST" or not self._secrets or now_ms - first_ms > AGE_MS_MAX:
            return b""
        said = _said(head)
        # By the length alone every client could reserve a time; a digest keeps the time of these photos and no others.
        # A 104 (Upload Resumption Supported) carries a ticket before anything failed, for the case that the node dies
        # with what it has.
        if early and not any(_CHECKED.search(said.get(name, b"")) for name in _DIGESTS):
            return b""  # before the token is parsed
        bound = _bound(head, said)
        if bound is None:
            return b""
        # Base64url of version, first time, expiry and a MAC over these and over what the ticket is bound to.
        times = _TIMES.pack(VERSION, first_ms, (now_ms + LIFE_MS) & ~POSITIONS_MASK | refused)
        return base64.urlsafe_b64encode(times + _mac(self._secrets[0], times, bound))

    def read(self, head: RequestHead, ticket: bytes, now_ms: int) -> Verdict:
        """Read the ticket of this request. A forged one and one of another request look alike: both are `foreign`."""
        if not _TEXT.fullmatch(ticket):
            return Verdict("malformed")
        # Cannot fail: every text that the pattern accepts is valid base64.
        raw = base64.urlsafe_b64decode(ticket)
        times, mac = raw[: _TIMES.size], raw[_TIMES.size :]
        version, first_ms, expires_ms = _TIMES.unpack(times)
        if version != VERSION:
            return Verdict("malformed")
        bound = _bound(head, _said(head))
        if head.method != b"POST" or bound is None or not self._signed(times, bound, mac):
            return Verdict("foreign")
        # Signed by a balancer whose clock is ahead: its first time cannot be trusted.
        if max(first_ms, (expires_ms & ~POSITIONS_MASK) - LIFE_MS) > now_ms + AHEAD_MS_MAX:
            return Verdict("ahead")
        if now_ms > expires_ms or now_ms - first_ms > AGE_MS_MAX:
            return Verdict("expired")
        return Verdict("honoured", first_ms, expires_ms & POSITIONS_MASK)

    def _signed(self, times: bytes, bound: bytes, mac: bytes) -> bool:
        return any(hmac.compare_digest(_mac(secret, times, bound), mac) for secret in self._secrets)


def split_ticket(balancer_fields: list[bytes]) -> tuple[list[bytes], bytes | None]:
    """The field lines without tickets, and the ticket: None when there is none, empty when there are several."""
    kept = [balancer_field for balancer_field in balancer_fields if not _is_ticket(balancer_field)]
    if len(kept) == len(balancer_fields):
        return balancer_fields, None
    ticket = (
        next(balancer_field for balancer_field in balancer_fields if _is_ticket(balancer_field))
        .partition(b":")[2]
        .strip(b" \t")
    )
    return kept, ticket if len(kept) + 1 == len(balancer_fields) else b""


def with_ticket(head: ResponseHead, ticket: bytes, *, relays: bool = False) -> ResponseHead:
    """A node's answer with this ticket in place of any that the node wrote; server errors are never `ordinary`.

    What the node says for tickets is removed, unless a balancer in front signs too (`relays`).
    """
    fields = [field for field in head.fields if not (_is_ticket(field) or (not relays and _is_begun(field)))]
    return msgspec.structs.replace(head, fields=[*fields, b"Snapsurge-Ticket: " + ticket] if ticket else fields)


def _is_ticket(field: bytes) -> bool:
    return field.partition(b":")[0].lower() == _NAME


def _is_begun(field: bytes) -> bool:
    return field.partition(b":")[0].lower() == BEGUN


def _bound(head: RequestHead, said: dict[bytes, bytes]) -> bytes | None:
    """What a ticket is bound to, each part after its length; None where that would not say which photos."""
    content, upload = (said.get(name, b"") for name in _DIGESTS)
    is_part = any(said.get(name, complete) != complete for name, complete in _COMPLETE.items())
    total = b""
    # Without a bound that says which photos, a time could be reserved for photos not yet taken. The length and the
    # content's digest of a part say nothing of the rest, and a chunked request has no length.
    if is_part and not _CHECKED.search(upload):
        total = said.get(_LENGTH, b"")
        if head.chunked or not _COUNT.fullmatch(total):
            return None
    elif head.chunked and not (_CHECKED.search(content) or _CHECKED.search(upload)):
        return None
    length = b"chunked" if head.chunked else b"%d" % (head.length or 0)
    # Not verified: a ticket of another user is useless without a token of that user, which the node verifies. By the
    # subject, a renewed token keeps its ticket.
    who = subject(head.authorization) or head.authorization
    # The token's subject, as placement reads it; the target; the length, or the digests of a request without one (RFC
    # 9530); of a part of an upload the `Repr-Digest` of the whole or, unless it is chunked, its `Upload-Length`. The
    # node checks these two when the ticket comes back.
    # Without the last ones, what tickets were bound to before there were any.
    parts = (who, head.target, length, content, *((upload, total) if total else (upload,) if upload else ()))
    return b"".join(b"%d:%b" % (len(part), part) for part in parts)


def _said(head: RequestHead) -> dict[bytes, bytes]:
    """The fields that say what the content is, by lower-case name; several of one name are joined by commas."""
    lines = head.ordinary.split(b"\r\n")[1:] if head.ordinary else head.fields
    said: dict[bytes, bytes] = {}
    for line in lines:
        name, _, value = line.partition(b":")
        if (name := name.lower()) in _CONTENT:
            said[name] = b",".join([*([said[name]] if name in said else []), value.strip(b" \t")])
    return said


def _mac(secret: bytes, times: bytes, bound: bytes) -> bytes:
    # HMAC-SHA256 (RFC 2104), cut to 128 bits.
    return hmac.digest(secret, times + bound, "sha256")[:MAC_BYTES]
