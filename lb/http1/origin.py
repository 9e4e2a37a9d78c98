"""Who sent a request and when: by the connection, or by the forwarding fields of a trusted balancer in front.

The `Snapsurge-*` and `X-Forwarded-*` fields of a trusted peer are kept, those of anybody else are dropped. So behind
two balancers `Snapsurge-Received-At` is the time of the first. The client's address is the last one in
`X-Forwarded-For` that is not a trusted peer's: RFC 7239 section 7.4 says why none before it can be trusted. Pure.
"""

import re

import msgspec

from ..networks import Networks, contains

# Addresses kept of X-Forwarded-For. The front of the list is cut off: a client may have written it.
HOPS_MAX = 16
_MILLISECONDS = re.compile(rb"[0-9]{12,14}")
# Read and written anew; the stamp of a balancer in front says nothing of what this one adds.
_READ = frozenset(
    {
        *(b"snapsurge-received-at", b"snapsurge-tried-at", b"snapsurge-retry", b"snapsurge-stamp"),
        *(b"x-forwarded-proto", b"x-forwarded-host"),
    }
)
_PROTO = re.compile(rb"https?")
_HOST = re.compile(rb"[0-9A-Za-z.:\[\]_~%-]{1,255}")


class Origin(msgspec.Struct, frozen=True, gc=False):
    """Who sent a request, when and over which protocol; empty or 0 where it is not known.

    `client` is the address, `forwarded_for` the list that the node gets, both without ports. `others` are further field
    lines for the node. `refused` are the positions of the key's order whose nodes refused the request before, as
    bits. A `retry` brought a ticket, at `tried_ms`; by both the node prefers it to new requests.
    """

    client: bytes
    forwarded_for: bytes
    received_ms: int = 0
    proto: bytes = b"http"
    host: bytes = b""
    others: tuple[bytes, ...] = ()
    refused: int = 0
    retry: bool = False
    tried_ms: int = 0

    def retried(self, first_ms: int, now_ms: int, refused: int) -> "Origin":
        """The origin of a retry with a ticket."""
        return msgspec.structs.replace(self, received_ms=first_ms, refused=refused, retry=True, tried_ms=now_ms)


def origin(balancer_fields: list[bytes], peer: bytes, proto: bytes, known: Networks) -> Origin:
    """The origin of a request by the field lines of a trusted peer."""
    said: dict[bytes, bytes] = {}
    others: list[bytes] = []
    forwarded: list[bytes] = []
    for balancer_field in balancer_fields:
        name, _, value = balancer_field.partition(b":")
        name, value = name.lower(), value.strip(b" \t")
        if name == b"x-forwarded-for":
            forwarded.append(value)
        elif name in _READ:
            said.setdefault(name, value)
        else:
            others.append(balancer_field)
    hops = _hops(forwarded)
    received, tried = said.get(b"snapsurge-received-at", b""), said.get(b"snapsurge-tried-at", b"")
    named = said.get(b"x-forwarded-host", b"")
    spoken = said.get(b"x-forwarded-proto", b"").lower()
    return Origin(
        client=_nearest(hops, peer, known),
        forwarded_for=b", ".join([*hops, peer]),
        received_ms=int(received) if _MILLISECONDS.fullmatch(received) else 0,
        proto=spoken if _PROTO.fullmatch(spoken) else proto,
        host=named if _HOST.fullmatch(named) else b"",
        others=tuple(others),
        retry=said.get(b"snapsurge-retry") == b"1",
        tried_ms=int(tried) if _MILLISECONDS.fullmatch(tried) else 0,
    )


def _hops(values: list[bytes]) -> list[bytes]:
    """The addresses of all X-Forwarded-For fields, the nearest last."""
    parts = b",".join(values).rsplit(b",", HOPS_MAX)[-HOPS_MAX:]
    return [stripped for part in parts if (stripped := part.strip(b" \t"))]


def _nearest(forwarded: list[bytes], peer: bytes, known: Networks) -> bytes:
    """The last address that is not a trusted peer's; the first one when all are."""
    for address in reversed(forwarded):
        if not contains(known, address.decode("latin-1")):
            return address
    return forwarded[0] if forwarded else peer
