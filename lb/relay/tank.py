"""The buffer that all client connections of a process read into.

The kernel's bytes land where they are sent on from: a body passes without becoming an object, measured at a fifth of
the CPU of a 200 KB request. That is safe because the loop reads, and we write on, one connection at a time. What a
node's socket does not take at once still lies in the buffer: then it is lent to that transport, and the next read gets
one that came back, or a new one.
"""

from typing import Protocol

TANK_BYTES = 262144  # What one read takes at most; it stays inside a core's second-level cache.
VIEW_BYTES_MIN = 32768  # A smaller read is copied: lending would hold a whole buffer for it.
LENT_MAX = 4  # Buffers that are awaited back; more at once are left to their transports for good.


class Borrower(Protocol):
    """A transport that may still write from a buffer."""

    def get_write_buffer_size(self) -> int:
        """Bytes not yet written."""


class Tank:
    """`view` is good until the next read of any connection."""

    __slots__ = ("_lent", "view")

    def __init__(self) -> None:
        self.view = memoryview(bytearray(TANK_BYTES))
        self._lent: list[tuple[memoryview, Borrower]] = []

    def lend(self, borrower: Borrower) -> None:
        """The borrower still writes from the buffer: take another one."""
        lent, view = self._lent, self.view
        for index, (other, before) in enumerate(lent):
            if not before.get_write_buffer_size():
                self.view, lent[index] = other, (view, borrower)
                return
        if len(lent) == LENT_MAX:
            lent.pop(0)
        lent.append((view, borrower))
        self.view = memoryview(bytearray(TANK_BYTES))
