"""One request's part of a resumable upload: it tells the client how much has arrived, at a bounded rate.

An interim answer at most for each `TOLD_BYTES` and `TOLD_S`, because a phone on a slow uplink reads them on the same
link. What a client is told has been parsed and hashed: it need not keep those bytes (the offset never goes back).
"""

from collections.abc import Callable
from typing import Final

from aiohttp import web

from ..admission import Admission
from ..body.arriving import Arriving, Body

TOLD_BYTES: Final = 256 * 1024
TOLD_S: Final = 1.0


class Leg(Arriving):
    """The part that one request brings. `moved` is called with the time of each arrival, in the clock's seconds.

    `tell` sends the offset to the client; None: this version of the protocol has no such answer.
    """

    def __init__(
        self,
        body: Body,
        admission: Admission,
        clock: Callable[[], float],
        moved: Callable[[float], None],
        tell: Callable[[int], None] | None,
    ) -> None:
        super().__init__(body, admission)
        self._clock, self._moved, self._tell = clock, moved, tell
        self._told_at, self._told = clock(), body.place.received

    def landed(self, count: int) -> None:
        """As an ordinary body; then tell the client."""
        super().landed(count)
        self._progress()

    def feed(self, data: bytes) -> None:
        """As an ordinary body; then tell the client."""
        super().feed(data)
        self._progress()

    def _progress(self) -> None:
        now, offset = self._clock(), self.place.received
        self._moved(now)
        if self._tell and offset - self._told >= TOLD_BYTES and now - self._told_at >= TOLD_S:
            self._told_at, self._told = now, offset
            self._tell(offset)


def say(request: web.Request, interim: bytes) -> None:
    """Send an interim answer, past aiohttp, which would count it as the beginning of the answer."""
    transport = request.transport
    if transport is not None and not transport.is_closing():
        transport.write(interim)
