"""Reads from the kernel how long ago the last bytes of a TCP connection arrived.

`lb/relay/tcp.py` has the same system call; neither package may import the other.
"""

import socket
import struct
import sys

# `tcpi_last_data_recv` of `struct tcp_info` (linux/tcp.h): eight bytes of flags, then the twelfth 32-bit number.
_LAST_DATA_RECV = struct.Struct("=52xI")


def quiet_ms(sock: socket.socket) -> int:
    """Milliseconds since the last bytes of the peer arrived, read or unread; 0 where the system does not tell."""
    if sys.platform != "linux":
        return 0
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_RECV.size)
        return int(_LAST_DATA_RECV.unpack(info)[0])
    except (OSError, struct.error):  # no TCP, or already closed
        return 0
