"""Reads a phone's body in pieces worth reading: the kernel wakes us for so much of it, not for each segment.

Only a body that was seen to come in small pieces is read so; one that comes fast pays nothing for it. What waits in the
kernel counts as received where time is measured. Never under TLS, whose records end where they like.
"""

import asyncio
import fcntl
import socket
import sys
import termios
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ..http1.body import Counted, Framing

if TYPE_CHECKING:
    from .proxy import Proxy

PIECE_BYTES: Final = 8 * 1024  # Smaller pieces are not worth a read each.
# At 4 KiB a second, below which a node gives a body up, these are 8 s: within the grace it gives beyond ours.
WAKE_BYTES: Final = 32 * 1024


class Waking:
    """The part of a client connection that says what wakes us (socket(7), SO_RCVLOWAT); its end always does."""

    transport: asyncio.Transport
    _proxy: "Proxy"
    _wake_bytes = 1

    def _wake_less(self, framing: Framing) -> None:
        """The body comes in small pieces."""
        if isinstance(framing, Counted) and self._proxy.proto == b"http":
            self._wake_at(framing.left)

    def _wake_at(self, left: int) -> None:
        """When so many bytes are there, or as many as are worth a read."""
        count = min(left, WAKE_BYTES)
        if count != self._wake_bytes:
            self._wake_bytes = count
            with suppress(OSError):  # Closed just now.
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)

    def _unread(self) -> int:
        """Bytes that came and wait until they are worth a read."""
        if self._wake_bytes == 1:
            return 0
        try:
            waiting = fcntl.ioctl(self._socket.fileno(), termios.FIONREAD, bytes(4))
        except (OSError, ValueError):  # Closed just now.
            return 0
        return int.from_bytes(waiting, sys.byteorder)

    @property
    def _socket(self) -> socket.socket:
        found: socket.socket = self.transport.get_extra_info("socket")
        return found
