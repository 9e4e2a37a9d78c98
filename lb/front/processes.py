"""Several balancer processes on one port: forks them, forwards stop signals, and restarts a process that dies.

A process that handed its sockets to a successor is not restarted: its place is in the successor's group, which has a
handover socket for each place. When all processes are replaced, the group ends.

The kernel spreads connections over the processes' own listening sockets (SO_REUSEPORT). The processes share only the
port: each has the same ring, because a ring depends on members and seed alone, and its own load bound. They are forked,
not spawned, so that they share the memory of imported modules. The parent has no event loop and no connection.
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
EARLY_EXIT_S = 2.0  # A process that ends sooner probably cannot start: back off.
BACKOFF_S_MAX = 5.0
REPLACED = 10  # exit status of a process that drained because a successor inherited its sockets
POLL_S = 0.05


class Child(msgspec.Struct, frozen=True):
    """One process: its number, the time of its start, and the pause before it."""

    index: int
    born: float
    backoff_s: float


class ProcessGroup:
    """The processes, as their parent sees them; `serve` runs in each child and returns its exit status.

    `succeeded` tells whether a process of another group has taken the place of process `index`.
    """

    def __init__(self, serve: Callable[[int], int], succeeded: Callable[[int], bool]) -> None:
        self._serve, self._succeeded = serve, succeeded
        self._children: dict[int, Child] = {}
        self._stopping = False
        self._status = 0

    def run(self, count: int) -> int:
        """Run `count` processes until all have ended; 0 when each drained, else the highest status."""
        for number in STOPS:
            signal.signal(number, self._on_stop)
        for index in range(count):
            self._start(index, 0.0)
        while self._children:
            pid, status = os.wait()
            self._ended(self._children.pop(pid), os.waitstatus_to_exitcode(status))
        return self._status

    def _on_stop(self, number: int, _: FrameType | None) -> None:
        """Forward the signal to every process; a second one makes them end at once."""
        self._stopping = True
        for pid in self._children:
            os.kill(pid, number)

    def _start(self, index: int, backoff_s: float) -> None:
        # Blocked: a signal between the fork and the entry below would miss the child, or make it signal the others.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
        if self._stopping:
            # The signal came between two starts: a process that starts now would never get it, and would take over.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
            return
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            os._exit(self._run_child(index, parent))
        self._children[pid] = Child(index, time.monotonic(), backoff_s)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        log.info("process %d started as pid %d", index, pid)

    def _run_child(self, index: int, parent: int) -> int:
        """Serve in the child until it ends; returns its exit status."""
        for number in STOPS:
            signal.signal(number, signal.SIG_DFL)
        # Ctrl-C in a terminal signals the whole process group; the parent alone forwards it, once.
        os.setpgid(0, 0)
        if sys.platform == "linux":
            # A process must not outlive its parent: it would share the port with the next parent's processes.
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:
                return 1
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        try:
            return self._serve(index)
        except BaseException:
            log.exception("process %d failed and ends with status 1", index)
            return 1

    def _ended(self, child: Child, status: int) -> None:
        lived_s = time.monotonic() - child.born
        if self._stopping:
            self._status = max(self._status, 0 if status in {0, REPLACED} else 1)
            return
        if status == REPLACED:
            log.info("process %d has handed its sockets over and drained", child.index)
            return
        early = lived_s < EARLY_EXIT_S
        log.warning("process %d ended with status %d after %.1f s", child.index, status, lived_s)
        if self._succeeded(child.index):
            # Killed while it drained. A new process would take the sockets away from its successor.
            log.warning("process %d is not restarted: the new process group has taken over its socket", child.index)
            return
        if early and not child.backoff_s and status in {1, 2}:
            # It could not start, and neither could the next one: stop all.
            self._status = status
            self._on_stop(signal.SIGTERM, None)
            return
        backoff_s = min(BACKOFF_S_MAX, child.backoff_s * 2 or POLL_S) if early else POLL_S
        if self._wait(backoff_s):
            self._start(child.index, backoff_s)

    def _wait(self, seconds: float) -> bool:
        """Sleep; False as soon as a stop signal arrives."""
        until = time.monotonic() + seconds
        while not self._stopping and time.monotonic() < until:
            time.sleep(POLL_S)
        return not self._stopping


def reserve(host: str, port: int) -> socket.socket:
    """A socket that reserves the port without listening, so that port 0 is the same port for all processes."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    reserved = socket.socket(family, socket.SOCK_STREAM)
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        reserved.bind((host, port))
    except OSError:
        reserved.close()
        raise
    return reserved
