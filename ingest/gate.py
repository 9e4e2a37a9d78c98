"""The gate before the store: at most as many concurrent PUTs as `Commits` allows; other bodies wait in order (FIFO).

The gate only counts, waits and measures; `commits.py` decides the limit.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from storage.blobs import QuorumLost, StoreFull, StoreUnavailable
from storage.existence import Superseded

from .commits import Commits
from .readiness import Readiness


class GateTimeout(Exception):
    """No PUT could begin within the time limit; nothing was sent to the store."""


class Gate:
    """One per node; `wait_s_max` limits the wait of a body, `readiness` records how PUTs end."""

    def __init__(self, commits: Commits, *, wait_s_max: float, readiness: Readiness | None = None) -> None:
        self._commits = commits
        self._readiness = readiness or Readiness(0.0, room_bytes=0)
        self._wait_s_max = wait_s_max
        self._waiting: OrderedDict[asyncio.Future[None], None] = OrderedDict()

    @property
    def waiting(self) -> int:
        """The number of bodies that wait."""
        return len(self._waiting)

    @asynccontextmanager
    async def passed(self) -> AsyncIterator[None]:
        """A context for one PUT; raises GateTimeout instead of entering if none could begin in time."""
        # Also while a PUT is free but others wait: the order is that of arrival.
        if self._waiting or not self._commits.free:
            await self._turn()
        else:
            self._commits.began(time.perf_counter())
        began, committed, told = time.perf_counter(), False, True
        try:
            yield
            committed = True
        except Superseded:  # the store itself worked
            committed = True
            raise
        except StoreFull:  # the store answered, so this is no outage
            raise
        except StoreUnavailable as error:
            told = not isinstance(error, QuorumLost)
            self._readiness.failed(time.perf_counter())
            raise
        finally:
            now = time.perf_counter()
            if committed:
                self._readiness.committed(now)
            if told:
                self._commits.ended(now, now - began, waiting=len(self._waiting), committed=committed)
            else:  # a store that cannot write at all shows nothing of its speed
                self._commits.void(now)
            self._let_in()

    async def _turn(self) -> None:
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[place] = None
        try:
            async with asyncio.timeout(self._wait_s_max):
                await place
        except BaseException as error:
            if self._waiting.pop(place, place) is place:  # let in at the moment of the timeout: the slot is free again
                self._commits.left()
                self._let_in()
            if isinstance(error, TimeoutError):
                raise GateTimeout from None
            raise

    def _let_in(self) -> None:
        while self._waiting and self._commits.free:
            # Counted before the waiter runs, so that no other body takes the PUT meanwhile.
            self._commits.began(time.perf_counter())
            self._waiting.popitem(last=False)[0].set_result(None)
