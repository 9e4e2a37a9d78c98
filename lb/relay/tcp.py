"""What asyncio cannot do with a TCP connection: reset it, give up a host that vanished, tell when bytes arrived."""

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


# A host without power or network says nothing, not even that its processes are gone. Unlike a busy or stopped process,
# whose kernel goes on to acknowledge, it leaves what was sent and what is asked (RFC 9293, 3.8.3; tcp(7)) unanswered.
VANISHED_S = 10
_IDLE_S, _AGAIN_S = 4, 2


def notice_vanished(transport: asyncio.Transport) -> None:
    """End the connection with ETIMEDOUT when the peer's kernel acknowledges nothing for ten seconds."""
    if sys.platform != "linux":
        return
    sock = transport.get_extra_info("socket")
    with suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, VANISHED_S * 1000)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _IDLE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _AGAIN_S)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


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
