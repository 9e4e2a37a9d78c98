"""`restart`: asks the supervisor of a running stack to restart balancers and nodes one after another, and waits.

The supervisor does the work (`local.LocalStack.roll`); this only signals it and watches `stack.json`.
"""

import os
import signal
import time
from pathlib import Path
from typing import Final

import msgspec

from . import stack

LOOK_S: Final = 0.2


class RestartFailed(Exception):
    """Nothing runs there, or the restart was not done in time; the text says where to look."""


def restart(state: Path, timeout_s: float) -> str:
    """Do it and return what was done; RestartFailed."""
    before = _read(state)
    if not before.balancers:
        raise RestartFailed(f"nothing runs in {state}")
    try:
        os.kill(before.supervisor.pid, signal.SIGUSR2)
    except ProcessLookupError as error:
        raise RestartFailed(f"the supervisor of {state} is gone") from error
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        now = _read(state)
        if now.rolls > before.rolls:
            return f"{len(now.balancers)} balancers and {len(now.nodes)} nodes restarted"
        if not now.balancers:
            raise RestartFailed(f"the stack in {state} has stopped")
        time.sleep(LOOK_S)
    raise RestartFailed(f"not restarted in {timeout_s:.0f} s; what the supervisor said is on its stderr")


def _read(state: Path) -> stack.Stack:
    try:
        return stack.read(state)
    except (OSError, msgspec.MsgspecError) as error:
        raise RestartFailed(f"no stack in {state}: {error}") from error
