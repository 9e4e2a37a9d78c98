"""Several balancer processes on one port: forks them, forwards the word to stop, starts anew what dies.

The kernel spreads connections over the processes' own listening sockets (SO_REUSEPORT). They share nothing but the
port: each has the same ring, because a ring depends only on its members and seed, and keeps its own bound. Forked, not
spawned, so that N processes share the memory of what was imported. The parent holds no loop and no connection.
"""

import ctypes
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from types import FrameType

import msgspec

log = logging.getLogger("snapsurge.lb.processes")

PR_SET_PDEATHSIG = 1
STOPS = (signal.SIGTERM, signal.SIGINT)
YOUNG_S = 2.0  # One that ends sooner could not start, or will not soon.
BACKOFF_S_MAX = 5.0
LOOK_S = 0.05


class Child(msgspec.Struct, frozen=True):
    """One process: which of them, when it was born, and how long was waited before."""

    index: int
    born: float
    backoff_s: float


class Family:
    """The parent's view of its processes; `serve` runs in the child and returns its exit status."""

    def __init__(self, serve: Callable[[int], int]) -> None:
        self._serve = serve
        self._children: dict[int, Child] = {}
        self._stopping = False
        self._status = 0

    def run(self, count: int) -> int:
        """Until all have ended; 0 when each drained, else the worst status."""
        for number in STOPS:
            signal.signal(number, self._on_stop)
        for index in range(count):
            self._start(index, 0.0)
        while self._children:
            pid, status = os.wait()
            self._ended(self._children.pop(pid), os.waitstatus_to_exitcode(status))
        return self._status

    def _on_stop(self, number: int, _: FrameType | None) -> None:
        """To every process; the second signal reaches them too, and ends them at once."""
        self._stopping = True
        for pid in self._children:
            os.kill(pid, number)

    def _start(self, index: int, backoff_s: float) -> None:
        # A signal between fork and book-keeping would miss the child, or make it signal its siblings.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            os._exit(self._live(index, parent))
        self._children[pid] = Child(index, time.monotonic(), backoff_s)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        log.info("process %d started as pid %d", index, pid)

    def _live(self, index: int, parent: int) -> int:
        """The child's whole life."""
        for number in STOPS:
            signal.signal(number, signal.SIG_DFL)
        os.setpgid(0, 0)  # A terminal's Ctrl-C goes to a whole group; the parent forwards it, once.
        if sys.platform == "linux":
            # No process outlives its parent: it would hold the port beside the next parent's.
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:
                return 1
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        try:
            return self._serve(index)
        except BaseException:
            log.exception("process %d failed", index)
            return 1

    def _ended(self, child: Child, status: int) -> None:
        lived_s = time.monotonic() - child.born
        if self._stopping:
            self._status = max(self._status, 1 if status else 0)
            return
        young = lived_s < YOUNG_S
        log.warning("process %d ended with status %d after %.1f s", child.index, status, lived_s)
        if young and not child.backoff_s and status in {1, 2}:
            # It could not even start: neither would the next one.
            self._status = status
            self._on_stop(signal.SIGTERM, None)
            return
        backoff_s = min(BACKOFF_S_MAX, child.backoff_s * 2 or LOOK_S) if young else LOOK_S
        if self._rested(backoff_s):
            self._start(child.index, backoff_s)

    def _rested(self, seconds: float) -> bool:
        """Wait so long; False as soon as the word to stop has come."""
        until = time.monotonic() + seconds
        while not self._stopping and time.monotonic() < until:
            time.sleep(LOOK_S)
        return not self._stopping


def reserve(host: str, port: int) -> socket.socket:
    """A socket that holds the port for the family without listening, so that port 0 means the same to each of them."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    held = socket.socket(family, socket.SOCK_STREAM)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        held.bind((host, port))
    except OSError:
        held.close()
        raise
    return held
