"""A phone that uploads by the tus protocol 1.0.0, as tus-js-client does with its default options.

A pair is one upload, the fewest requests that the protocol allows to a client that may be interrupted before the answer
to its first request.
"""

import asyncio
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import msgspec

from ..answers import Response
from ..client import Rng, wait_s
from ..clock import Clock
from ..config import Config
from ..connections import Broken, Connections, Trip
from ..outcome import Attempt, Outcome, Upload
from ..resuming import GONE, offset_in

CREATED: Final = 201
STORED: Final = 204
LOCKED: Final = 423
BUSY: Final = 500  # and above: tried again, as tus-js-client does, and so is 423


class _Known(msgspec.Struct):
    """What the phone remembers between tries."""

    path: str | None = None
    breaks: int = 0


class TusPhone:
    """Sends uploads to one tus server, whose creation path is `path`."""

    def __init__(
        self, connections: Connections, target: str, config: Config, clock: Clock, rng: Rng, path: str = "/files/"
    ) -> None:
        self._connections, self._target, self._config, self._clock, self._rng = connections, target, config, clock, rng
        self._path, self._host = path, urlsplit(target).netloc

    async def send(self, upload: Upload, on_attempt: Callable[[Attempt], None] = lambda _: None) -> Outcome:
        """Try until all is stored, refused for good, or out of tries. All stored is a 201, as our servers say it."""
        attempts: list[Attempt] = []
        known = _Known()
        while True:
            started, pause_s, resumed = self._clock.now(), 0.0, known.path is not None
            cut = upload.breaks[known.breaks] if known.breaks < len(upload.breaks) else None
            trip, status = Trip(until=cut.offset if cut else None), 0
            try:
                async with asyncio.timeout(self._config.answer_timeout_s + 2 * len(upload.body) / (upload.pace or 1e9)):
                    status = (await self._try(upload, known, trip)).status
            except Broken:
                pause_s = cut.pause_s if cut else 0.0
                known.breaks += 1
            except OSError:  # a time-out, too
                pass
            status = CREATED if status == STORED else status
            attempts.append(Attempt(started, self._clock.now(), status, resumed=resumed, sent=trip.sent))
            on_attempt(attempts[-1])
            final = status and status < BUSY and status != LOCKED
            if final or len(attempts) >= self._config.attempts_max:
                break
            # Waits are those of our client, so that only the protocols differ.
            await self._clock.sleep(max(pause_s, wait_s(self._config, len(attempts), None, self._rng)))
        return Outcome(user=upload.user, intended=upload.intended, attempts=tuple(attempts), length=len(upload.body))

    async def _try(self, upload: Upload, known: _Known, trip: Trip) -> Response:
        """The answer to the PATCH, or to the request before it when that fails."""
        async with self._connections.opened(self._target) as connection:
            path = known.path
            if path is None:
                head = self._head("POST", self._path, f"Upload-Length: {len(upload.body)}\r\nContent-Length: 0\r\n")
                found = await self._connections.exchange(connection, head, b"", pace=None, asks=False, trip=None)
                if found.status != CREATED:
                    return found
                known.path = path = urlsplit(found.headers.get("location", "")).path
                offset = 0
                connection.again()
            else:
                found = await self._connections.look(connection, self._head("HEAD", path, ""))
                told = offset_in(found, len(upload.body))
                if found.status in GONE:
                    known.path = None
                if told is None:  # to be asked again, also where the HEAD itself succeeded: nothing is stored by it
                    refused = found.status >= 400 and found.status not in GONE
                    return Response(found.status if refused else LOCKED, {}, b"", kept=False)
                offset = told
            if trip.until is not None:
                trip.until = max(0, trip.until - offset)
            rest = memoryview(upload.body)[offset:]
            lines = f"Upload-Offset: {offset}\r\nContent-Type: application/offset+octet-stream\r\n"
            head = self._head("PATCH", path, f"{lines}Content-Length: {len(rest)}\r\n")
            return await self._connections.exchange(connection, head, rest, pace=upload.pace, asks=False, trip=trip)

    def _head(self, method: str, path: str, lines: str) -> bytes:
        return f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nTus-Resumable: 1.0.0\r\n{lines}\r\n".encode()
