"""Wraps handlers of reads: a full node answers 503 before it asks the store anything, and uploads have priority.

`answering.py` releases the place of a read after the last byte of its answer was written.
"""

import random
import time
from collections.abc import Sequence

from aiohttp import web

from .admission import Admission
from .answering import Handler
from .auth import PRINCIPAL
from .errors import Refusal
from .peers import Peers
from .read_admission import USER_WAITERS_MAX, Kind, Reader, Reading
from .returns import when_away_s
from .sending import READER


class Reads:
    """Wraps handlers so that each call holds a place while it runs."""

    def __init__(self, reading: Reading, admission: Admission, peers: Peers) -> None:
        self._reading = reading
        self._admission = admission
        self._peers = peers

    def by_user(self, handler: Handler) -> Handler:
        """For posts and pictures: places are limited per user, or per address by a link; uploads have priority."""

        async def read(request: web.Request) -> web.StreamResponse:
            principal = request.get(PRINCIPAL)
            # No user's id has a control character.
            who = principal.user_id if principal else f"\0{self._peers.client(request)}"
            if self._admission.reads_give_way:
                raise _full("the node is busy with uploads; retry")
            return await self._within(who, Kind.POST, handler, request)

        return read

    def by_address(self, handler: Handler, kind: Kind) -> Handler:
        """For calls without a token: places are limited per client address."""

        async def read(request: web.Request) -> web.StreamResponse:
            return await self._within(self._peers.client(request), kind, handler, request)

        return read

    def hold(self, request: web.Request, size: int) -> None:
        """Account for an answer of `size` bytes before it is built; Refusal when there is no room."""
        held, victims = self._reading.hold(request[READER], size, time.perf_counter())
        _shed(victims)
        if not held:
            raise _full("slow readers hold all memory that this node has for answers; retry")

    def wait(self, request: web.Request) -> None:
        """Exchange the place of a read for that of a waiter; Refusal when there is none, or none for this user."""
        reader = request[READER]
        self._reading.release(reader)
        if self._reading.has_share(reader.who, Kind.WAIT):
            detail = f"at most {USER_WAITERS_MAX} requests of one user may wait; ask without `wait`"
            raise Refusal("rate-limited", detail, headers={"Retry-After": str(when_away_s(random.random()))})
        self._take(request, reader.who, Kind.WAIT)

    def _take(self, request: web.Request, who: str, kind: Kind) -> None:
        reader, victims = self._reading.admit(who, kind, time.perf_counter())
        _shed(victims)
        if reader is None:
            raise _full("too many reads in progress on this node; retry")
        request[READER] = reader

    async def _within(self, who: str, kind: Kind, handler: Handler, request: web.Request) -> web.StreamResponse:
        self._take(request, who, kind)
        response = await handler(request)
        if kind is Kind.POST and isinstance(response, web.Response) and isinstance(response.body, bytes):
            self.hold(request, len(response.body))
        return response


def _shed(victims: Sequence[Reader]) -> None:
    for victim in victims:
        victim.shed()


def _full(detail: str) -> Refusal:
    return Refusal("overloaded", detail, headers={"Retry-After": str(when_away_s(random.random()))})
