"""Reads a slow client's body in larger pieces: the kernel wakes the process for so many bytes, not for each segment.

A client connection makes a `Waking` only for a body that was seen to arrive in small pieces, so a fast body pays
nothing. Never under TLS, whose records end at any byte, and never for chunks, whose end is not known.
"""

import fcntl
import socket
import sys
import termios
from contextlib import suppress
from typing import Final

PIECE_BYTES: Final = 8 * 1024  # Smaller pieces are not worth a read each.
# At 4 KiB a second, below which a node gives a body up, these are 8 s: within the grace that a node adds to ours.
WAKE_BYTES: Final = 32 * 1024


class Waking:
    """How many bytes must wait in the kernel before a socket counts as readable (socket(7), SO_RCVLOWAT).

    The end of the connection always wakes.
    """

    __slots__ = ("_count", "_socket")

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._count = 1

    def at(self, left: int) -> None:
        """Wake at `left` bytes, the rest of the body, or at as many as are worth a read."""
        count = min(left, WAKE_BYTES)
        if count != self._count:
            self._count = count
            with suppress(OSError):  # The socket was closed a moment ago.
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)

    def unread(self) -> int:
        """Bytes that were received and wait in the kernel: a rate must count them."""
        if self._count == 1:
            return 0
        try:
            waiting = fcntl.ioctl(self._socket.fileno(), termios.FIONREAD, bytes(4))
        except (OSError, ValueError):  # The socket was closed a moment ago.
            return 0
        return int.from_bytes(waiting, sys.byteorder)
