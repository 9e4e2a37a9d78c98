"""What asyncio has no word for: ending a connection with a reset."""

import asyncio
import socket
import struct
from contextlib import suppress

_AT_ONCE = struct.pack("ii", 1, 0)  # struct linger: on, for no time.


def reset(transport: asyncio.Transport) -> None:
    """Drop what is unsent and send RST, which no peer takes for a complete answer."""
    with suppress(OSError):
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    transport.abort()
