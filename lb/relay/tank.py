"""The buffer that all client connections of a process read into, so that bodies pass without a copy.

The kernel writes into the buffer, and the node's socket is written from it, which saves a fifth of the CPU of a 200 KB
request. One buffer is enough because the event loop reads one connection at a time and the bytes are written before the
next read. When a node's socket does not take all bytes at once, the buffer is lent to its transport, and the next read
gets one that was returned, or a new one.
"""

from typing import Protocol

TANK_BYTES = 262144  # The most that one read takes; it fits a core's second-level cache.
VIEW_BYTES_MIN = 32768  # A smaller read is copied: lending would block a whole buffer for it.
LENT_MAX = 4  # Lent buffers that are used again; further ones are freed with their transports' data.


class Borrower(Protocol):
    """A transport that may still write from the buffer."""

    def get_write_buffer_size(self) -> int:
        """The number of bytes not yet written."""


class Tank:
    """`view` is valid until the next read of any connection."""

    __slots__ = ("_lent", "view")

    def __init__(self) -> None:
        self.view = memoryview(bytearray(TANK_BYTES))
        self._lent: list[tuple[memoryview, Borrower]] = []

    def lend(self, borrower: Borrower) -> None:
        """Lend the present buffer to a transport that still writes from it, and use another one."""
        lent, view = self._lent, self.view
        for index, (other, before) in enumerate(lent):
            if not before.get_write_buffer_size():
                self.view, lent[index] = other, (view, borrower)
                return
        if len(lent) == LENT_MAX:
            lent.pop(0)
        lent.append((view, borrower))
        self.view = memoryview(bytearray(TANK_BYTES))
