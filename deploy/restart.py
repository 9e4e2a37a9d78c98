"""`restart`: asks the supervisor of a running stack to restart balancers and nodes one after another, and waits.

The supervisor does the work (`local.LocalStack.roll`); this command only signals it and watches `stack.json`.
"""

import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from . import stack

LOOK_S: Final = 0.2
TURN: Final = "restart.lock"


class RestartFailed(Exception):
    """No stack runs in the directory, or the restart failed or took too long; the text says where to look."""


def restart(state: Path, timeout_s: float, say: Callable[[str], None]) -> str:
    """Restart balancers and nodes of the stack in `state`; a line that says how many. Raises RestartFailed."""
    deadline = time.monotonic() + timeout_s
    _running(state)
    # One restart at a time. A second command waits and then restarts everything again, because the first restart may
    # have missed a change (a setting, the code) that was made while it was running.
    with _turn(state, deadline, say):
        # A restart goes on when its command is interrupted, so one may be running though the lock is free.
        before = _idle(state, deadline, say)
        try:
            os.kill(before.supervisor.pid, signal.SIGUSR2)
        except ProcessLookupError as error:
            raise RestartFailed(f"the supervisor of {state} is gone") from error
        while time.monotonic() < deadline:
            now = _running(state)
            if now.rolls > before.rolls:
                return f"{len(now.balancers)} balancers and {len(now.nodes)} nodes restarted"
            if now.rolls_broken > before.rolls_broken:
                raise RestartFailed(f"broken off: {now.broken}")
            time.sleep(LOOK_S)
    raise RestartFailed(f"not restarted in {timeout_s:.0f} s; what the supervisor said is on its stderr")


@contextmanager
def _turn(state: Path, deadline: float, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock that allows one restart command at a time; wait for it until `deadline`, else RestartFailed."""
    lock, told = os.open(state / TURN, os.O_RDWR | os.O_CREAT, 0o644), False
    try:
        while True:
            try:
                # flock(2) ends with the process, so that a killed command leaves no lock behind.
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                _wait("another command restarts this stack", deadline, say if not told else None)
                told = True
        yield
    finally:
        os.close(lock)


def _idle(state: Path, deadline: float, say: Callable[[str], None]) -> stack.Stack:
    """Wait until no restart is running; the content of `stack.json` then."""
    told = False
    while (now := _running(state)).rolls_begun > now.rolls + now.rolls_broken:
        _wait("a restart of this stack is still under way", deadline, say if not told else None)
        told = True
    return now


def _wait(why: str, deadline: float, say: Callable[[str], None] | None) -> None:
    """Sleep for `LOOK_S`; RestartFailed when the deadline has passed."""
    if time.monotonic() >= deadline:
        raise RestartFailed(f"nothing done in time: {why}; ask again when it has ended")
    if say:
        say(f"{why}: waiting for its end")
    time.sleep(LOOK_S)


def _running(state: Path) -> stack.Stack:
    try:
        found = stack.read(state)
    except (OSError, msgspec.MsgspecError) as error:
        raise RestartFailed(f"no stack in {state}: {error}") from error
    if not found.balancers:
        raise RestartFailed(f"nothing runs in {state}")
    return found
