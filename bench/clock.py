"""Time as bench uses it: one wall clock that never jumps, and a sleep. Tests put a fake in its place.

Wall time is read once and carried on by the monotonic clock, because a replay compares its own times with the
server's `received_at`: a step of the system clock in mid-run would look like wrongly flagged posts.
"""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What the client and the replay know of time."""

    def now(self) -> float:
        """Unix seconds; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`; at once (but through the event loop) when that is not positive."""
        ...


class SystemClock:
    """The machine's clock."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        """Unix seconds, carried on monotonically from when this clock was made."""
        return self._offset + time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Sleep on the event loop."""
        await asyncio.sleep(max(0.0, seconds))
