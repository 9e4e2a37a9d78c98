"""Reads a slow client's body in larger pieces: the kernel wakes the process for so many bytes, not for each segment.

A client connection makes a `Waking` only for a body that was seen to arrive in small pieces, so a fast body pays
nothing. Of a chunked body no more than the rest of a chunk is waited for. Under TLS `Records` tells how many bytes of
the socket that is at least; an end of a record that waited for more would never be read.
"""

import asyncio
import fcntl
import socket
import sys
import termios
from contextlib import suppress
from typing import Final

from .records import Records

PIECE_BYTES: Final = 8 * 1024  # Smaller pieces are not worth a read each.
# Kernel memory of a slow upload, at most twice as much with the kernel's own. When that is short, or the window of the
# connection is nearly full, the kernel wakes earlier (tcp_epollin_ready).
WAKE_BYTES: Final = 64 * 1024
# Bytes of a very slow client are passed on after so many seconds, so that the node sees what the balancer sees: its
# deadlines are 15 s longer.
LOOKS_MAX: Final = 4


class Waking:
    """How many bytes must wait in the kernel before a socket counts as readable (socket(7), SO_RCVLOWAT).

    The end of the connection always wakes.
    """

    __slots__ = ("_count", "_looks", "_records", "_socket")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._socket = transport.get_extra_info("socket")
        self._records: Records | None = transport.get_extra_info("records")
        self._count = 1
        self._looks = 0

    def at(self, left: int) -> None:
        """Wake at `left` bytes, the rest of the body, or at as many as are worth a read."""
        if self._records is not None:
            left = self._records.wire_bytes(left)
        self._set(min(left, WAKE_BYTES))

    def always(self) -> None:
        """Wake at every byte: nobody tells the kernel anew after the next read."""
        # Not even at the end of a record that has begun: what comes after that may be shorter.
        self._set(1)

    def _set(self, count: int) -> None:
        self._looks = 0
        if count != self._count:
            self._count = count
            with suppress(OSError):  # The socket was closed a moment ago.
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)

    def unread(self) -> int:
        """Bytes that were received and wait in the kernel: a rate must count them. Called once a second."""
        try:
            waiting = fcntl.ioctl(self._socket.fileno(), termios.FIONREAD, bytes(4))
        except (OSError, ValueError):  # The socket was closed a moment ago.
            return 0
        count = int.from_bytes(waiting, sys.byteorder)
        self._looks += count > 0
        if self._looks > LOOKS_MAX:
            self.at(1)
        return count
