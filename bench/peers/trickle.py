"""Many slow phones at once: open uploads at 64 kbit/s, none of which ends while memory is read."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final

import msgspec

from . import loadgen

PHONE_BYTES_S: Final = 8000  # 64 kbit/s
BEAT_S: Final = 0.5  # a phone sends a piece every half second, as a mobile radio schedules its sending
BODY_BYTES: Final = 1 << 20


class Memory(msgspec.Struct, frozen=True):
    """Resident KiB before the uploads, when all uploads were open, and at the end of the trickle."""

    before: int
    open: int
    end: int

    def per_upload(self, phones: int) -> float:
        """KiB over `before` for each open upload, from the higher of the other two readings."""
        return max(self.open, self.end, self.before) / phones - self.before / phones


@contextlib.asynccontextmanager
async def phones(target: loadgen.Target, count: int) -> AsyncIterator[list[loadgen.Caller]]:
    """Begin `count` uploads; abort them when the block ends."""
    callers: list[loadgen.Caller] = []
    try:
        for user in range(count):
            caller = await loadgen.connected(target)
            caller.transport.write(loadgen.head(user, BODY_BYTES))
            callers.append(caller)
        yield callers
    finally:
        for caller in callers:
            caller.transport.abort()


async def measure(target: loadgen.Target, count: int, seconds: float, rss: Callable[[], int]) -> Memory:
    """Open the uploads, send slowly for `seconds`, and read memory; LoadError when an upload was cut."""
    before = rss()
    piece = bytes(int(PHONE_BYTES_S * BEAT_S))
    async with phones(target, count) as callers:
        await trickle(callers, piece, 2 * BEAT_S)
        opened = rss()
        await trickle(callers, piece, seconds)
        end = rss()
        # A balancer that cuts uploads has their memory back.
        if any(caller.transport.is_closing() for caller in callers):
            raise loadgen.LoadError("a slow upload was cut")
    return Memory(before, opened, end)


async def trickle(callers: list[loadgen.Caller], piece: bytes, seconds: float) -> None:
    """Send a piece from every phone in each `BEAT_S`, spread evenly over it."""
    slices = 25
    for _ in range(max(1, int(seconds / BEAT_S))):
        for index in range(slices):
            for caller in callers[index::slices]:
                caller.transport.write(piece)
            await asyncio.sleep(BEAT_S / slices)
