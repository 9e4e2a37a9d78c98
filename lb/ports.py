"""What the three parts of a request promise each other: client connection, exchange, node connection.

A client connection is a Speaker to its exchange; an exchange is a Receiver to its link. Neither knows the other's
class, so that each is tested alone and another kind of either (TLS, another protocol) fits in.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from .head import ResponseHead
from .peers import Origin


class Speaker(Protocol):
    """The client's side, as an exchange sees it."""

    address: bytes
    write: Callable[[bytes | memoryview], None]  # To the client; perhaps the transport's own method.
    origin: Origin
    trusted: bool
    transport: asyncio.Transport

    def hold(self) -> None:
        """Read no more of the body for now."""

    def resume(self) -> None:
        """Read on."""

    def refused(self) -> None:
        """The answer does not wait for the body: drop what still comes of it."""

    def finished(self, *, keep_alive: bool) -> None:
        """The answer is complete."""

    def broken(self) -> None:
        """The answer cannot be completed: end the connection so that the client sees it."""


class Receiver(Protocol):
    """Who uses the link: one request's exchange."""

    bodiless: bool
    plain: bool

    def interim(self, head: ResponseHead) -> None:
        """A 1xx head came; the final one follows."""

    def answered(self, head: ResponseHead, data: bytes | memoryview, *, bounded: bool) -> None:
        """The final head came, and `data` of its body; `bounded` is false when that ends with the connection."""

    def answer_data(self, data: bytes | memoryview) -> None:
        """A piece of the body, framed for the client."""

    def answer_done(self) -> None:
        """The body is complete; the link is not used after this."""

    def link_lost(self, reason: str) -> None:
        """The connection ended, or made no sense, before the answer was complete."""

    def hold_body(self) -> None:
        """The node takes no more bytes for now."""

    def resume_body(self) -> None:
        """The node takes bytes again."""
