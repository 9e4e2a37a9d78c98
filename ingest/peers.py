"""Reads what a trusted balancer says about a request; for other peers uses the node's clock and a new request id."""

import re
import time
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from secrets import token_bytes, token_hex

import msgspec
from aiohttp import web

from storage.records import attempt_id

from .body.tcp import quiet_ms

Networks = Sequence[IPv4Network | IPv6Network]

RECEIVED_AT_HEADER = "Snapsurge-Received-At"
TRIED_AT_HEADER = "Snapsurge-Tried-At"
RETRY_HEADER = "Snapsurge-Retry"
REQUEST_ID_HEADER = "X-Request-Id"
ADDRESSES_CHARS_MAX = 256  # only this many characters at the end of X-Forwarded-For are read
_REQUEST_ID = re.compile(r"[\w.:+/=-]{1,128}", re.ASCII)
_MILLISECONDS = re.compile(r"\d{12,14}", re.ASCII)


class Arrival(msgspec.Struct, frozen=True):
    """When the request's head reached the first balancer (unix ms), and the request id for all logs.

    `retry`: the request was refused before, and its ticket preserved the time of the first attempt. `tried_at_ms` is
    the time of this attempt.
    """

    received_at_ms: int
    request_id: str
    retry: bool = False
    tried_at_ms: int = 0

    @property
    def attempt(self) -> str:
        """A new `records.attempt_id` for this attempt."""
        return attempt_id(self.tried_at_ms or self.received_at_ms, token_bytes(10))


# The middleware stores it here for the handlers.
ARRIVAL = web.RequestKey("arrival", Arrival)


def networks(cidrs: str) -> Networks:
    """Parse comma-separated CIDRs; ValueError names a bad one."""
    return [ip_network(cidr.strip()) for cidr in cidrs.split(",") if cidr.strip()]


def arrival_of(request: web.BaseRequest, trusted: Networks) -> Arrival:
    """The arrival from the peer's headers if it is trusted and they are well formed, else from the node's clock."""
    received_at, tried_at, request_id, retry = "", "", "", False
    if _is_trusted(request.remote, trusted):
        received_at = request.headers.get(RECEIVED_AT_HEADER, "")
        tried_at = request.headers.get(TRIED_AT_HEADER, "")
        request_id = request.headers.get(REQUEST_ID_HEADER, "")
        retry = request.headers.get(RETRY_HEADER) == "1"
    return Arrival(
        int(received_at) if _MILLISECONDS.fullmatch(received_at) else _arrived_ms(request),
        request_id if _REQUEST_ID.fullmatch(request_id) else token_hex(16),
        retry,
        int(tried_at) if _MILLISECONDS.fullmatch(tried_at) else 0,
    )


def _arrived_ms(request: web.BaseRequest) -> int:
    """Unix ms when the connection's last bytes arrived, even if they were read later: see `lb/relay/lag.py`."""
    unix_ms = time.time_ns() // 1_000_000
    # Asked for every such request, because only requests without a balancer's header get here.
    sock = request.transport.get_extra_info("socket") if request.transport else None
    return unix_ms - quiet_ms(sock) if sock else unix_ms


def stamp_of(request: web.BaseRequest, trusted: Networks) -> float | None:
    """The time (unix s) at which a trusted peer says it sent this request; None if there is none."""
    said = request.headers.get(RECEIVED_AT_HEADER, "")
    if not _MILLISECONDS.fullmatch(said) or not _is_trusted(request.remote, trusted):
        return None
    return int(said) / 1000


def client_of(request: web.BaseRequest, trusted: Networks) -> str:
    """The client's address: the last in a trusted peer's header that is no trusted peer's itself, else the peer's."""
    said = request.headers.get("X-Forwarded-For", "")[-ADDRESSES_CHARS_MAX:]
    if not said or not _is_trusted(request.remote, trusted):
        return request.remote or ""
    hops = [hop.strip() for hop in said.split(",")]
    return next((hop for hop in reversed(hops) if not _is_trusted(hop, trusted)), hops[0])


def _is_trusted(remote: str | None, trusted: Networks) -> bool:
    try:
        address = ip_address(remote or "")
    except ValueError:
        return False
    return any(address in network for network in trusted)
