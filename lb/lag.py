"""When a request came, though the process was too busy to read it, or stood still: the kernel knows.

A request is read late after a SIGSTOP, a host that was suspended, or in a burst that keeps the loop busy. Its time is
what decides whether a post is late and which of two changes of a post is the younger, so it counts from when its bytes
reached this machine. A look at the socket costs more than the rest of the stamp, so it is taken only while the loop is
behind.
"""

import asyncio
import time
from collections.abc import Callable

from .tcp import quiet_ms

TICK_S = 0.1
BEHIND_S = 0.3  # Between two ticks; more than this is no scheduling noise.
CATCH_UP_S = 1.0  # For what came meanwhile to be read; a loop that is still behind then says so by its next tick.


class Lag:
    """Whether the loop was behind a moment ago; `clock` is the loop's, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._ticked = clock()
        self._behind_until = 0.0

    async def watch(self) -> None:
        """Tick until cancelled."""
        while True:
            self.tick()
            await asyncio.sleep(TICK_S)

    def tick(self) -> None:
        """The loop has come round to its timers."""
        now = self._clock()
        if now - self._ticked > BEHIND_S:
            self._behind_until = now + CATCH_UP_S
        self._ticked = now

    def behind(self, now: float) -> bool:
        """Whether what is read now may have come long ago."""
        return now < self._behind_until or now - self._ticked > BEHIND_S

    def came_ms(self, transport: asyncio.Transport, now: float) -> int:
        """Unix milliseconds at which the last bytes of this connection came; `now` is the clock's."""
        unix_ms = time.time_ns() // 1_000_000
        return unix_ms - quiet_ms(transport) if self.behind(now) else unix_ms
