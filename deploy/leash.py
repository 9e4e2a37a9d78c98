"""Starts child processes that do not outlive their supervisor.

Linux only: on macOS the children of a killed supervisor keep running.
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
    # macOS has no prctl(2), and nothing like these two options.
    if sys.platform != "linux":
        return None
    call: Callable[[int, int], int] = ctypes.CDLL(None, use_errno=True).prctl
    return call


def _binding(nice: int) -> Callable[[], None]:
    supervisor, prctl = os.getpid(), _prctl()

    def bind() -> None:
        if prctl:
            # The kernel sends SIGTERM to this child when its parent dies for any reason. The fork happens in the main
            # thread, so that "parent" means the process and not a thread of it.
            prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != supervisor:  # The supervisor died between the fork and the call.
                os._exit(1)
        if nice:
            os.nice(nice)

    return bind


def adopt_orphans() -> None:
    """Make this process the parent of its descendants' orphans from now on (Linux only)."""
    if prctl := _prctl():
        # A grandchild whose parent died would otherwise belong to init, and `_others_alive` could not reap it.
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
        # One file for each program: a traceback stands between the lines that led to it.
        stderr=asyncio.subprocess.STDOUT,
        # A Ctrl-C in the terminal reaches only the supervisor, and a child with its descendants is one process group,
        # which one call can signal.
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
        # Once each: our programs take a second SIGTERM as the order to end without a drain.
        if signum != told:
            signal_group(leader, signum)
            told = signum
        await asyncio.sleep(POLL_S)


def _others_alive(leader: int) -> bool:
    """Whether the group has a living member; first reap the adopted members that have ended."""
    with suppress(ChildProcessError):
        # A zombie is still a member of its group, so killpg(2) would succeed for ever.
        while os.waitpid(-leader, os.WNOHANG)[0]:
            pass
    return signal_group(leader, 0)
