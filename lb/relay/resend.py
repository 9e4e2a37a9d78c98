"""What may be sent again after a node failed, and what the client is told about its storage.

A request of which nothing was sent may always go to another node. One whose head alone was sent on a reused connection,
which then closed without an answer, may go too if the node cannot have acted on it: its body was incomplete and no
interim answer came (a 104 hands out a name for the upload), or its method is idempotent (RFC 9110 section 9.2.2).
Nothing else is sent again, because the node may have stored it. Pure.
"""

from ..http1.errors import Stored

STORING = frozenset({b"POST", b"PUT", b"PATCH"})
IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})


def resendable(method: bytes, *, reused: bool, body_sent: bool, acted: bool) -> bool:
    """Whether a request may be sent again after its connection closed before its answer.

    `acted`: the node may have acted on it, because it was complete or an interim answer came.
    """
    if not reused or body_sent:
        return False
    return not acted or method in IDEMPOTENT


def stored(method: bytes, *, sent: bool, whole: bool) -> Stored:
    """What the client is told of a failed request.

    `sent`: some of it was written to a node's connection. `whole`: its last byte has come from the client. Until then
    no node has it: an incomplete request stores nothing (RFC 9112 section 8).
    """
    return "unknown" if sent and whole and method in STORING else False
