"""What a node tells the balancer, with a failure of the service's own, of the request that began an upload.

A ticket keeps the time of a request that the service failed, and is bound to its target, length and digest. A PATCH has
others, so the node hands back what the balancer would have bound when it refused the creation: `Snapsurge-Begun` is the
time in unix ms at which that was received, and its head in base64url, as far as a ticket is bound to it. Balancers sign
it and remove it (`lb/http1/begun.py`; neither package may import the other). It goes with a 503 or 507 only: with any
earlier answer it would let a client reserve a time for photos not yet taken.
"""

from base64 import urlsafe_b64encode
from typing import Final

import msgspec
from aiohttp import web

from ..peers import ARRIVAL
from .versions import Fields

BEGUN: Final = "Snapsurge-Begun"
# What says the length or the digest of a body, or that it is a part.
_BOUND: Final = (
    *("Content-Length", "Transfer-Encoding", "Content-Digest", "Repr-Digest"),
    *("Upload-Complete", "Upload-Incomplete", "Upload-Length"),
)


class Beginning(msgspec.Struct, frozen=True):
    """The head of a creation, with the time at which its first try was received (unix ms)."""

    received_at_ms: int
    target: str
    fields: Fields

    @classmethod
    def of(cls, request: web.Request) -> "Beginning":
        """That of this request. Nothing is copied: most uploads end without a failure."""
        return cls(request[ARRIVAL].received_at_ms, request.raw_path, request.headers)

    def told(self) -> dict[str, str]:
        """The field for the balancer."""
        lines = [f"POST {self.target} HTTP/1.1", "Host: begun"]
        lines += [f"{name}: {value}" for name in _BOUND for value in self.fields.getall(name, ())]
        head = urlsafe_b64encode("\r\n".join([*lines, ""]).encode("utf-8", "surrogateescape"))
        return {BEGUN: f"{self.received_at_ms} {head.decode()}"}
