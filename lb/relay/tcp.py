"""Ends a connection with a TCP reset, which asyncio cannot do."""

import asyncio
import socket
import struct
from contextlib import suppress

_AT_ONCE = struct.pack("ii", 1, 0)  # struct linger: on, with zero seconds.


def reset(transport: asyncio.Transport) -> None:
    """Drop unsent bytes and send RST, which no client takes for the end of a complete answer."""
    with suppress(OSError):
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    transport.abort()
