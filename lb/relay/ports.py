"""The interfaces between the parts of a request: connection registry, client connection, exchange, node connection.

A client connection is an exchange's `Downstream`; an exchange is a node connection's `Receiver`. No part knows the
class of another, so each is tested alone, and the modules import each other in one direction only.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeVar

from ..http1.head import ResponseHead
from ..http1.origin import Origin

C_contra = TypeVar("C_contra", contravariant=True)


class Registry(Protocol[C_contra]):
    """The set of all client connections, as one of them sees it."""

    def admit(self, client: C_contra) -> bool:
        """Add a new connection; False when there are too many: then it answers 503 and ends."""

    def left(self, client: C_contra) -> None:
        """Remove a connection that has ended."""


class Downstream(Protocol):
    """The client's side of a request, as its exchange sees it."""

    address: bytes
    write: Callable[[bytes | memoryview], None]  # Sends to the client; may be the transport's own method.
    origin: Origin
    trusted: bool
    transport: asyncio.Transport

    def pause_body(self) -> None:
        """Stop reading the request body: the node takes no bytes."""

    def resume_body(self) -> None:
        """Read the request body again: the node takes bytes."""

    def discard_body(self) -> None:
        """Read and drop the rest of the request body: the answer does not wait for it."""

    def finished(self, *, keep_alive: bool) -> None:
        """The answer is complete: wait for the next request, or end the connection."""

    def answer_broken(self) -> None:
        """The answer cannot be completed: end the connection so that the client notices."""


class Receiver(Protocol):
    """The exchange whose request is on a node connection, as that connection sees it."""

    bodiless: bool  # The request was HEAD: the answer has no body, whatever length it names.
    http_1_0: bool  # The client speaks HTTP/1.0: it cannot read chunks.

    def interim(self, head: ResponseHead) -> None:
        """A 1xx head was received; the final head follows."""

    def answered(self, head: ResponseHead, data: bytes | memoryview, *, bounded: bool) -> None:
        """The final head was received, and `data` of its body.

        `bounded` is false when the body ends with the connection.
        """

    def answer_data(self, data: bytes | memoryview) -> None:
        """A piece of the answer's body was received, framed for the client."""

    def answer_done(self) -> None:
        """The answer is complete; the node connection makes no further call for this request."""

    def link_lost(self, reason: str) -> None:
        """The connection ended, or sent invalid HTTP, before the answer was complete."""

    def pause_body(self) -> None:
        """Stop sending the request body: the node takes no bytes."""

    def resume_body(self) -> None:
        """Send the request body again: the node takes bytes."""
