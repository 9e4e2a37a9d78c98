"""Reserves the ports of a stack before anything starts and until the end, so that restarted programs find them free.

A socket that is bound but never listens reserves a port. On Linux a program of the stack can still bind the port and
listen, because both sockets set SO_REUSEADDR. Another stack, which first tries without SO_REUSEADDR, cannot, and the
kernel gives the port to no outgoing connection. Other systems refuse the second bind: there, a port is only checked,
and the supervisor's restarts handle the rare collision. Free ports are taken from below the ephemeral ranges (Linux
32768, macOS 49152); each stack begins at a random one.
"""

import errno
import random
import socket
import sys
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self

HOST: Final = "127.0.0.1"
FREE_FIRST: Final = 20_000
FREE_COUNT: Final = 10_000
KEEPS: Final = sys.platform == "linux"


class PortTaken(Exception):
    """A port that was asked for is in use; the text names it."""


class Ports:
    """The ports of one stack, reserved until exit. `rng` chooses where the search for free ports begins."""

    def __init__(self, rng: random.Random | None = None) -> None:
        self._next = (rng or random.Random()).randrange(FREE_COUNT)
        self._kept = ExitStack()

    def free(self) -> int:
        """Reserve a free port; PortTaken when all ten thousand are in use."""
        for _ in range(FREE_COUNT):
            port = FREE_FIRST + self._next
            self._next = (self._next + 1) % FREE_COUNT
            if self._take(port, reuse=False):
                return port
        raise PortTaken(f"no port is free between {FREE_FIRST} and {FREE_FIRST + FREE_COUNT}")

    def fixed(self, port: int) -> int:
        """Reserve this port; PortTaken when a program listens on it. Old connections in TIME_WAIT are allowed."""
        if self._take(port, reuse=False) or self._take(port, reuse=True):
            return port
        raise PortTaken(f"port {port} is taken: choose another with --port, or stop what listens there")

    def _take(self, port: int, *, reuse: bool) -> bool:
        keeper = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(reuse))
        try:
            keeper.bind((HOST, port))
        except OSError as error:
            keeper.close()
            if error.errno not in {errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL}:
                raise
            return False
        if KEEPS:
            keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._kept.enter_context(keeper)
        else:
            keeper.close()
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kept.close()
