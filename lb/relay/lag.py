"""The time at which a request arrived, although the process was busy or stopped: the kernel knows it.

After a SIGSTOP, a suspended host, or in a burst that keeps the loop busy, requests are read late. The arrival time
decides whether a post is late and which of two changes of a post is the younger, so it is the time at which the bytes
reached this machine. Asking the kernel costs a system call, so only a loop that is behind asks.
"""

import asyncio
import time
from collections.abc import Callable

from .tcp import quiet_ms

TICK_S = 0.1
BEHIND_S = 0.3  # Between two ticks; the noise of scheduling is less.
CATCH_UP_S = 1.0  # Time to read what arrived meanwhile; if the loop is still behind then, the next tick shows it.


class Lag:
    """Whether the loop is or was just behind; `clock` is the loop's, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._ticked = clock()
        self._behind_until = 0.0

    async def watch(self) -> None:
        """Measure the delay of the event loop every `TICK_S`, until cancelled."""
        while True:
            self.tick()
            await asyncio.sleep(TICK_S)

    def tick(self) -> None:
        """Called by the loop's timer every `TICK_S`."""
        now = self._clock()
        if now - self._ticked > BEHIND_S:
            self._behind_until = now + CATCH_UP_S
        self._ticked = now

    def behind(self, now: float) -> bool:
        """Whether bytes that are read now may have arrived long ago."""
        return now < self._behind_until or now - self._ticked > BEHIND_S

    def arrived_ms(self, transport: asyncio.Transport, now: float) -> int:
        """Unix milliseconds at which the last bytes of this connection arrived; `now` is on the clock."""
        unix_ms = time.time_ns() // 1_000_000
        return unix_ms - quiet_ms(transport) if self.behind(now) else unix_ms
