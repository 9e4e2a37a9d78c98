"""Reserves the ports of a stack before anything starts and until the end, so that restarted programs find them free."""

import errno
import random
import socket
import sys
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self

HOST: Final = "127.0.0.1"
# Below the ephemeral ranges (Linux from 32768, macOS from 49152), from which outgoing connections get their ports.
FREE_FIRST: Final = 20_000
FREE_COUNT: Final = 10_000
# Where a second socket may bind a reserved port; other systems refuse that, see `_take`.
KEEPS: Final = sys.platform == "linux"


class PortTaken(Exception):
    """A port that was asked for is in use; the text names it."""


class Ports:
    """The ports of one stack, reserved until exit. `rng` chooses where the search for free ports begins."""

    def __init__(self, rng: random.Random | None = None) -> None:
        # A random begin, so that two stacks that start at the same time seldom try the same ports.
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
        # Connections in TIME_WAIT refuse the first bind; SO_REUSEADDR allows them, and still refuses a port that is
        # listened on.
        if self._take(port, reuse=False) or self._take(port, reuse=True):
            return port
        raise PortTaken(f"port {port} is taken: choose another with --port, or stop what listens there")

    def _take(self, port: int, *, reuse: bool) -> bool:
        keeper = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # Without SO_REUSEADDR the bind fails on a port that another stack has reserved.
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(reuse))
        try:
            keeper.bind((HOST, port))
        except OSError as error:
            keeper.close()
            if error.errno not in {errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL}:
                raise
            return False
        if KEEPS:
            # A socket that is bound but never listens reserves the port: the kernel gives it to no outgoing connection,
            # and another stack cannot bind it. A program of this stack can bind it and listen, because now both sockets
            # have SO_REUSEADDR.
            keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._kept.enter_context(keeper)
        else:
            # The port is only checked; if another program takes it before ours does, the supervisor's restarts handle
            # that.
            keeper.close()
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kept.close()
