"""What asyncio cannot do with a TCP connection: end it with a reset, and tell how long ago the last bytes arrived."""

import asyncio
import socket
import struct
import sys
from contextlib import suppress

_AT_ONCE = struct.pack("ii", 1, 0)  # struct linger: on, with zero seconds.


def reset(transport: asyncio.Transport) -> None:
    """Drop unsent bytes and send RST, which no client takes for the end of a complete answer."""
    with suppress(OSError):
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    transport.abort()


# `tcpi_last_data_recv` of `struct tcp_info` (linux/tcp.h): eight bytes of flags, then the twelfth 32-bit number.
_LAST_DATA_RECV = struct.Struct("=52xI")


def quiet_ms(transport: asyncio.Transport) -> int:
    """Milliseconds since the last bytes of the peer arrived, read or unread; 0 where the system does not tell."""
    if sys.platform != "linux":
        return 0
    try:
        sock = transport.get_extra_info("socket")
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_RECV.size)
        return int(_LAST_DATA_RECV.unpack(info)[0])
    except (OSError, struct.error):  # no TCP, or already closed
        return 0
