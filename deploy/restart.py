"""`restart`: asks the supervisor of a running stack to restart balancers and nodes one after another, and waits.

The supervisor does the work (`local.LocalStack.roll`); this only signals it and watches `stack.json`. One restart at a
time: who asks while another is under way waits for its turn, because what was changed meanwhile (a setting, the code)
may have come too late for programs that were restarted already. The turn is a lock on a file in the state directory;
a restart whose command was interrupted still runs, and is waited for too.
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
    """Nothing runs there, or the restart was not done or not done in time; the text says where to look."""


def restart(state: Path, timeout_s: float, say: Callable[[str], None]) -> str:
    """Do it and return what was done; RestartFailed."""
    deadline = time.monotonic() + timeout_s
    _running(state)
    with _turn(state, deadline, say):
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
    """The only command that restarts this stack now; waits for the one before."""
    lock, told = os.open(state / TURN, os.O_RDWR | os.O_CREAT, 0o644), False
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                _wait("another command restarts this stack", deadline, say if not told else None)
                told = True
        yield
    finally:
        os.close(lock)


def _idle(state: Path, deadline: float, say: Callable[[str], None]) -> stack.Stack:
    """The record once no restart is under way."""
    told = False
    while (now := _running(state)).rolls_begun > now.rolls + now.rolls_broken:
        _wait("a restart of this stack is still under way", deadline, say if not told else None)
        told = True
    return now


def _wait(why: str, deadline: float, say: Callable[[str], None] | None) -> None:
    """A moment; RestartFailed when there is none left."""
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
