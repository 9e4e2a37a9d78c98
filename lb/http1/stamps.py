"""Stamps: by them a node knows that a balancer wrote when a request was received, and from whom.

A stamp is a MAC (BLAKE2b, keyed, 128 bits) over the fields that only a balancer may write: the times of the first and
of this attempt, whether it is a retry, the request id and the client's addresses. A node with the secret trusts the
fields of any peer with a valid stamp, from any network. The first secret signs; nodes accept several, for a rotation.

A stamp is not bound to a request: who reads the traffic between balancer and node could repeat one, and could do worse
things. Pure.
"""

import hashlib
from binascii import hexlify
from collections.abc import Sequence

from .origin import Origin

MAC_BYTES = 16
_PERSON = b"snapsurge-stamp"


class Stamper:
    """Stamps requests with the first of these secrets; writes nothing without one."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        # The secret's hash is the key, because a secret may be longer than a key can be.
        key = hashlib.blake2b(secrets[0], digest_size=32).digest() if secrets else b""
        # Copied for each request: half the price of setting the key anew.
        self._keyed = hashlib.blake2b(digest_size=MAC_BYTES, key=key, person=_PERSON) if secrets else None

    def line(self, origin: Origin, received_ms: int, request_id: bytes) -> bytes:
        """The field line with its line break, for a head that says this of the request; empty without a secret."""
        if self._keyed is None:
            return b""
        mac = self._keyed.copy()
        tried = b"%d" % origin.tried_ms if origin.tried_ms else b""
        retry = b"1" if origin.retry else b""
        mac.update(b"%d\n%b\n%b\n%b\n%b" % (received_ms, tried, retry, request_id, origin.forwarded_for))
        return b"Snapsurge-Stamp: %b\r\n" % hexlify(mac.digest())
