"""Reads what a balancer says about a request; for other peers uses the node's clock and a new request id.

A balancer is known by its stamp, a MAC over what it says, or by its address. `lb/http1/stamps.py` writes the same;
neither package may import the other.
"""

import hashlib
import hmac
import logging
import re
import time
from binascii import hexlify
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from secrets import token_bytes, token_hex

import msgspec
from aiohttp import web
from multidict import istr

from storage.records import attempt_id

from .body.tcp import quiet_ms

log = logging.getLogger("snapsurge.ingest.peers")

Networks = Sequence[IPv4Network | IPv6Network]

# As `istr` a name is looked up in half the time.
RECEIVED_AT_HEADER = istr("Snapsurge-Received-At")
TRIED_AT_HEADER = istr("Snapsurge-Tried-At")
RETRY_HEADER = istr("Snapsurge-Retry")
STAMP_HEADER = istr("Snapsurge-Stamp")
FORWARDED_HEADER = istr("X-Forwarded-For")
REQUEST_ID_HEADER = istr("X-Request-Id")
TRACE_HEADER = istr("traceparent")
ADDRESSES_CHARS_MAX = 256  # only this many characters at the end of X-Forwarded-For are read
# What a stamp covers, in this order.
STAMPED_HEADERS = (RECEIVED_AT_HEADER, TRIED_AT_HEADER, RETRY_HEADER, REQUEST_ID_HEADER, FORWARDED_HEADER)
# As `deploy check` allows. Who opens a moment and posts at once is early by a balancer's clock that is behind, and when
# a request arrived is known to 4 ms only.
CLOCKS_MS_MAX = 100
MAC_BYTES = 16
WARN_S = 60.0  # Seconds between two warnings about balancers that are not believed.
_REQUEST_ID = re.compile(r"[\w.:+/=-]{1,128}", re.ASCII)
# W3C Trace Context, version 00.
_TRACE = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
_MILLISECONDS = re.compile(r"\d{12,14}", re.ASCII)


class Arrival(msgspec.Struct, frozen=True):
    """When the request's head reached the first balancer (unix ms), and the request id for all logs.

    `retry`: the request was refused before, and its ticket preserved the time of the first attempt. `tried_at_ms` is
    the time of this attempt, `trace` the `traceparent` of a believed peer.
    """

    received_at_ms: int
    request_id: str
    retry: bool = False
    tried_at_ms: int = 0
    trace: str = ""

    @property
    def attempt(self) -> str:
        """A new `records.attempt_id` for this attempt."""
        return attempt_id(self.tried_at_ms or self.received_at_ms, token_bytes(10))


# The middleware stores it here for the handlers.
ARRIVAL = web.RequestKey("arrival", Arrival)
# Whether the peer is believed; decided once for each request.
_BELIEVED = web.RequestKey("believed", bool)


def networks(cidrs: str) -> Networks:
    """Parse comma-separated CIDRs; ValueError names a bad one."""
    return [ip_network(cidr.strip()) for cidr in cidrs.split(",") if cidr.strip()]


class Peers:
    """The peers that this node believes: those that stamp with one of `secrets`, and those in the networks `trusted`.

    `ignored` is called for each request whose peer says when it was received and is not believed.
    """

    def __init__(
        self,
        trusted: Networks,
        secrets: Sequence[bytes] = (),
        *,
        ignored: Callable[[], None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._trusted = trusted
        # The secret's hash is the key, because a secret may be longer than a key can be.
        keys = [hashlib.blake2b(secret, digest_size=32).digest() for secret in secrets]
        self._keyed = [hashlib.blake2b(digest_size=MAC_BYTES, key=key, person=b"snapsurge-stamp") for key in keys]
        self._ignored = ignored
        self._monotonic = monotonic
        self._warn_at = float("-inf")
        self._unsaid = 0

    def arrival(self, request: web.BaseRequest) -> Arrival:
        """The arrival from the peer's headers if it is believed and they are well formed, else from our clock."""
        received_at, tried_at, request_id, retry, trace = "", "", "", False, ""
        if self._believes(request):
            received_at = request.headers.get(RECEIVED_AT_HEADER, "")
            tried_at = request.headers.get(TRIED_AT_HEADER, "")
            request_id = request.headers.get(REQUEST_ID_HEADER, "")
            retry = request.headers.get(RETRY_HEADER) == "1"
            trace = request.headers.get(TRACE_HEADER, "")
        elif RECEIVED_AT_HEADER in request.headers:
            self._warn(request)
        return Arrival(
            int(received_at) if _MILLISECONDS.fullmatch(received_at) else _arrived_ms(request),
            request_id if _REQUEST_ID.fullmatch(request_id) else token_hex(16),
            retry,
            int(tried_at) if _MILLISECONDS.fullmatch(tried_at) else 0,
            trace if trace and _TRACE.fullmatch(trace) else "",
        )

    def sent_at(self, request: web.BaseRequest) -> float | None:
        """The time (unix s) at which a peer that is believed says it sent this request; None if there is none."""
        said = request.headers.get(RECEIVED_AT_HEADER, "")
        if not _MILLISECONDS.fullmatch(said) or not self._believes(request):
            return None
        return int(said) / 1000

    def client(self, request: web.BaseRequest) -> str:
        """The client's address: by a believed peer the last that is in no trusted network, else the peer's."""
        said = request.headers.get(FORWARDED_HEADER, "")[-ADDRESSES_CHARS_MAX:]
        if not said or not self._believes(request):
            return request.remote or ""
        hops = [hop.strip() for hop in said.split(",")]
        return next((hop for hop in reversed(hops) if not _is_within(hop, self._trusted)), hops[0])

    def _believes(self, request: web.BaseRequest) -> bool:
        believed = request.get(_BELIEVED)
        if believed is None:
            believed = request[_BELIEVED] = self._is_stamped(request) or _is_within(request.remote, self._trusted)
        return believed

    def _is_stamped(self, request: web.BaseRequest) -> bool:
        stamp = request.headers.get(STAMP_HEADER)
        if stamp is None or not self._keyed:
            return False
        # A value has no line break. Whatever bytes a value has, they come out as they came.
        get = request.headers.get
        said = "\n".join([get(name, "") for name in STAMPED_HEADERS]).encode("utf-8", "surrogateescape")
        given = stamp.encode("utf-8", "surrogateescape")
        for keyed in self._keyed:
            mac = keyed.copy()
            mac.update(said)
            if hmac.compare_digest(hexlify(mac.digest()), given):
                return True
        return False

    def _warn(self, request: web.BaseRequest) -> None:
        """Say that a balancer's time does not count, at most once in `WARN_S`."""
        self._ignored()
        self._unsaid += 1
        if self._monotonic() < self._warn_at + WARN_S:
            return
        self._warn_at = self._monotonic()
        why = "its stamp is of another secret" if STAMP_HEADER in request.headers else "it has no stamp"
        log.warning(
            "%d requests (last peer: %s) carried Snapsurge-Received-At, but the peer is not trusted (%s): the node "
            "used its own clock, so users on slow uplinks may be marked late. If %s is a balancer, set its "
            "SNAPSURGE_LB_STAMP_SECRET to the node's SNAPSURGE_INGEST_STAMP_SECRET, or add its network to "
            "SNAPSURGE_INGEST_TRUSTED_PEERS; if not, block its access to the node",
            self._unsaid,
            request.remote,
            why,
            request.remote,
        )
        self._unsaid = 0


def _arrived_ms(request: web.BaseRequest) -> int:
    """Unix ms when the connection's last bytes arrived, even if they were read later: see `lb/relay/lag.py`."""
    unix_ms = time.time_ns() // 1_000_000
    # Asked for every such request, because only requests without a balancer's header get here.
    sock = request.transport.get_extra_info("socket") if request.transport else None
    return unix_ms - quiet_ms(sock) if sock else unix_ms


def _is_within(remote: str | None, trusted: Networks) -> bool:
    try:
        address = ip_address(remote or "")
    except ValueError:
        return False
    return any(address in network for network in trusted)
