"""A body on its way into its buffer, as far as admission has room for it.

`Body` is what has arrived of one upload, with its parser and digest as they stand. `Arriving` is one request that adds
to it, the sink of its landing. An ordinary upload has one request, a resumable one may have several, one at a time.
"""

import time
from collections.abc import Callable

import msgspec

from ..admission import Admission
from ..places import Place
from .buffers import Buffer
from .digests import BodyDigest
from .multipart import MultipartReader


class Shed(Exception):
    """The upload was ended because another one needed its memory."""


class Body(msgspec.Struct, frozen=True, eq=False):
    """What has arrived of one upload."""

    place: Place
    buffer: Buffer
    reader: MultipartReader
    digest: BodyDigest | None


class Arriving:
    """The part of a body that one request brings: at most `bytes_max` bytes, of which `received` have come."""

    def __init__(self, body: Body, admission: Admission) -> None:
        self.place = body.place
        self.bytes_max = body.place.length - body.place.received
        self.received = 0
        self.wake: Callable[[Exception], None] | None = None  # wakes the handler that waits for the next piece
        self.error: Exception | None = None  # why the request was given up
        self._body = body
        self._admission = admission
        body.place.on_shed = self._shed

    def feed(self, data: bytes) -> None:
        """Take bytes that came through aiohttp; Shed, the error of `give_up`, and the exceptions of the reader."""
        if self.error is not None:
            raise self.error
        if len(self._ask(len(data))) < len(data):
            raise Shed
        self._count(len(data))
        if self._body.digest is not None:
            self._body.digest.update(data)
        self._body.reader.feed(data)

    def room(self) -> memoryview:
        """The part of the buffer that admission has memory for."""
        return self._ask(len(self._body.reader.room()))

    def landed(self, count: int) -> None:
        """Take `count` bytes that were written into `room`; Shed, and the exceptions of the reader."""
        self._count(count)
        if self._body.digest is not None:
            self._body.digest.update(self._body.reader.room()[:count])
        self._body.reader.landed(count)

    def give_up(self, error: Exception) -> None:
        """Take no more bytes; the handler that receives them gets this error."""
        self.error = error
        if self.wake:
            self.wake(error)

    def end(self) -> None:
        """Break the reference cycles, which would otherwise wait for the garbage collector."""
        if self.place.on_shed == self._shed:
            self.place.on_shed = None
        self.wake = self.error = None

    def _count(self, count: int) -> None:
        if self.place.gone:  # its memory is another upload's: nothing was written, and the sums must not grow
            raise Shed
        self.received += count
        self._admission.arrived(self.place, count)

    def _ask(self, wanted: int) -> memoryview:
        granted, victims = self._admission.room(self.place, wanted, time.perf_counter())
        for victim in victims:
            victim.shed()
        return self._body.reader.room()[:granted]

    def _shed(self) -> None:
        self._body.buffer.empty()
        self.give_up(Shed())
