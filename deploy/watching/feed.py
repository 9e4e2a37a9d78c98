"""The latest frame for any number of readers. It keeps one frame: a reader that is slow misses those in between."""

import asyncio


class Feed:
    """`publish` replaces the frame and wakes all readers; after `close` readers get None."""

    def __init__(self) -> None:
        self._number, self._frame = 0, b""
        self._fresh = asyncio.Event()
        self._closed = False

    def publish(self, frame: bytes) -> None:
        """Replace the frame that readers get, and wake those that wait for a new one."""
        self._number, self._frame = self._number + 1, frame
        self._wake()

    def close(self) -> None:
        """End the feed: readers that wait get None."""
        self._closed = True
        self._wake()

    async def after(self, number: int) -> tuple[int, bytes] | None:
        """The latest frame and its number, as soon as it is later than `number`; 0 is before the first."""
        while not self._closed:
            if self._number > number:
                return self._number, self._frame
            await self._fresh.wait()
        return None

    def _wake(self) -> None:
        self._fresh.set()
        # A new one for the next frame: those who wait for the old one are awake, and clearing it could make them sleep
        # again.
        self._fresh = asyncio.Event()
