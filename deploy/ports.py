"""Ports of a stack: taken before anything starts and kept until the end, so that nobody else gets one in between.

A port is kept by a socket that is bound and never listens. On Linux a program may bind and listen on it all the same,
because both sockets allow the reuse of the address, while another stack, which tries without reuse first, may not, and
the kernel gives it to no outgoing connection; so a program that died finds its port again. Elsewhere such a pair is
refused: there a port is only looked up, and the supervisor's restarts absorb the rare collision.
Free ports come from below the ephemeral ranges (Linux 32768, macOS 49152), each stack starting at a random one.
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
    """A port that was asked for is somebody else's; the text names it."""


class Ports:
    """The ports of one stack, kept from entry to exit. `rng` only spreads where the search for free ones begins."""

    def __init__(self, rng: random.Random | None = None) -> None:
        self._next = (rng or random.Random()).randrange(FREE_COUNT)
        self._kept = ExitStack()

    def free(self) -> int:
        """A port that nobody has; PortTaken when all ten thousand are in use."""
        for _ in range(FREE_COUNT):
            port = FREE_FIRST + self._next
            self._next = (self._next + 1) % FREE_COUNT
            if self._take(port, reuse=False):
                return port
        raise PortTaken(f"no port is free between {FREE_FIRST} and {FREE_FIRST + FREE_COUNT}")

    def fixed(self, port: int) -> int:
        """This very port; PortTaken when somebody listens on it. Connections of an earlier run may still linger."""
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
