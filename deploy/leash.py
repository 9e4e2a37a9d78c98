"""Starts child processes that do not outlive their supervisor.

Each child leads a session of its own. A Ctrl-C in the terminal reaches only the supervisor, and a child with its
descendants is one process group, which one call can signal. On Linux the kernel sends SIGTERM to a child when its
supervisor dies for any reason (prctl(2), PR_SET_PDEATHSIG; the fork happens in the main thread, so "parent" means the
process). Orphans are reparented to the supervisor, which reaps them. macOS has neither: there, the children of a killed
supervisor keep running.
"""

import asyncio
import ctypes
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

PR_SET_PDEATHSIG: Final = 1
PR_SET_CHILD_SUBREAPER: Final = 36
POLL_S: Final = 0.02


def _prctl() -> Callable[[int, int], int] | None:
    """prctl(2), or None where it does not exist; looked up before the fork, so that the child only makes the call."""
    if sys.platform != "linux":
        return None
    call: Callable[[int, int], int] = ctypes.CDLL(None, use_errno=True).prctl
    return call


def _binding(nice: int) -> Callable[[], None]:
    supervisor, prctl = os.getpid(), _prctl()

    def bind() -> None:
        if prctl:
            prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != supervisor:  # The supervisor died between the fork and the call.
                os._exit(1)
        if nice:
            os.nice(nice)

    return bind


def adopt_orphans() -> None:
    """Make this process the parent of its descendants' orphans from now on (Linux only)."""
    if prctl := _prctl():
        prctl(PR_SET_CHILD_SUBREAPER, 1)


def allow_files() -> None:
    """Raise the limit of open files to the maximum, for us and our children: each upload in flight needs two."""
    with suppress(ValueError, OSError):  # macOS reports a hard limit that it does not grant.
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def spawn(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    output: IO[bytes] | int,
    nice: int = 0,
    keep: Sequence[int] = (),
) -> asyncio.subprocess.Process:
    """Start a child in `folder`, bound to this process; it inherits the descriptors `keep`. OSError when that fails."""
    return await asyncio.create_subprocess_exec(
        *command,
        env=environment,
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=_binding(nice),
        pass_fds=keep,
    )


def signal_group(leader: int, signum: int) -> bool:
    """Signal the process group of a child; False when the group is empty."""
    try:
        os.killpg(leader, signum)
    except (ProcessLookupError, PermissionError):  # macOS raises PermissionError for a group of zombies.
        return False
    return True


async def clear_group(leader: int, deadline_s: float) -> None:
    """End the processes that a dead child left behind: SIGTERM, after `deadline_s` SIGKILL; waits until they ended."""
    loop, told = asyncio.get_running_loop(), 0
    until = loop.time() + deadline_s
    while _others_alive(leader):
        signum = signal.SIGTERM if loop.time() < until else signal.SIGKILL
        if signum != told:
            signal_group(leader, signum)
            told = signum
        await asyncio.sleep(POLL_S)


def _others_alive(leader: int) -> bool:
    """Whether the group has a living member; first reap the adopted members that have ended."""
    with suppress(ChildProcessError):
        while os.waitpid(-leader, os.WNOHANG)[0]:
            pass
    return signal_group(leader, 0)
