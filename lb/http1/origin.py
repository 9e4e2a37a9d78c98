"""What a balancer in front may say of a request: believed from trusted addresses only, dropped from all others.

A trusted peer's `Snapsurge-*` and `X-Forwarded-*` fields are kept, so that behind two balancers `Snapsurge-Received-At`
is still the time of the first, and the client's address is the nearest one in `X-Forwarded-For` that is not itself a
trusted peer's (RFC 7239 section 7.4 says why no farther one can be believed). Pure: no sockets, no clock.
"""

import re

import msgspec

from ..networks import Networks, contains

# Addresses in X-Forwarded-For: further ones are cut off at the front, where a client may have written what it likes.
HOPS_MAX = 16
_MILLISECONDS = re.compile(rb"[0-9]{12,14}")
_PROTO = re.compile(rb"https?")
_HOST = re.compile(rb"[0-9A-Za-z.:\[\]_~%-]{1,255}")


class Origin(msgspec.Struct, frozen=True, gc=False):
    """Who sent a request, when and how; empty or 0 where nothing was said. `others` are field lines passed as they are.

    `client` is the address alone, `forwarded_for` the list as the node gets it, both without ports. `refused` are the
    places of the key's order that refused it before.
    """

    client: bytes
    forwarded_for: bytes
    received_ms: int = 0
    proto: bytes = b"http"
    host: bytes = b""
    others: tuple[bytes, ...] = ()
    refused: int = 0

    def retried(self, first_ms: int, now_ms: int, refused: int) -> "Origin":
        """The same of a request first received then, and tried again now, which the node may prefer."""
        others = (*self.others, b"Snapsurge-Retry: 1", b"Snapsurge-Tried-At: %d" % now_ms)
        return msgspec.structs.replace(self, received_ms=first_ms, others=others, refused=refused)


def origin(claims: list[bytes], peer: bytes, proto: bytes, known: Networks) -> Origin:
    """The origin of a request from a trusted peer, by the field lines that it sent."""
    said: dict[bytes, bytes] = {}
    others: list[bytes] = []
    forwarded: list[bytes] = []
    for claim in claims:
        name, _, value = claim.partition(b":")
        name, value = name.lower(), value.strip(b" \t")
        if name == b"x-forwarded-for":
            forwarded.append(value)
        elif name in {b"snapsurge-received-at", b"x-forwarded-proto", b"x-forwarded-host"}:
            said.setdefault(name, value)
        else:
            others.append(claim)
    hops = _hops(forwarded)
    received = said.get(b"snapsurge-received-at", b"")
    named = said.get(b"x-forwarded-host", b"")
    spoken = said.get(b"x-forwarded-proto", b"").lower()
    return Origin(
        client=_nearest(hops, peer, known),
        forwarded_for=b", ".join([*hops, peer]),
        received_ms=int(received) if _MILLISECONDS.fullmatch(received) else 0,
        proto=spoken if _PROTO.fullmatch(spoken) else proto,
        host=named if _HOST.fullmatch(named) else b"",
        others=tuple(others),
    )


def _hops(values: list[bytes]) -> list[bytes]:
    """The addresses of all X-Forwarded-For fields, the nearest last."""
    parts = b",".join(values).rsplit(b",", HOPS_MAX)[-HOPS_MAX:]
    return [stripped for part in parts if (stripped := part.strip(b" \t"))]


def _nearest(forwarded: list[bytes], peer: bytes, known: Networks) -> bytes:
    """The last address in the list that no trusted peer has; the first one if all are trusted."""
    for address in reversed(forwarded):
        if not contains(known, address.decode("latin-1")):
            return address
    return forwarded[0] if forwarded else peer
