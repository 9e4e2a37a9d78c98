"""How a child process is bound to its supervisor, so that none is left behind.

Each child leads a session of its own: a Ctrl-C at the terminal reaches only the supervisor, and the child with all
that it started is one process group that can be signalled as one. On Linux the kernel sends a child SIGTERM when its
supervisor dies, however it dies (prctl(2), PR_SET_PDEATHSIG; the fork happens in the main thread, so "parent" means
the process), and orphans come to the supervisor, which reaps them. macOS has neither: a supervisor that is killed
there leaves its children running.
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
    """prctl(2) where there is one; looked up before the fork, because a child should only make the call."""
    if sys.platform != "linux":
        return None
    call: Callable[[int, int], int] = ctypes.CDLL(None, use_errno=True).prctl
    return call


def _binding(nice: int) -> Callable[[], None]:
    supervisor, prctl = os.getpid(), _prctl()

    def bind() -> None:
        if prctl:
            prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != supervisor:  # it died between the fork and the call
                os._exit(1)
        if nice:
            os.nice(nice)

    return bind


def adopt_orphans() -> None:
    """From now on what a dead child leaves behind becomes our child (Linux)."""
    if prctl := _prctl():
        prctl(PR_SET_CHILD_SUBREAPER, 1)


def allow_files() -> None:
    """As many open files as the system lets us have, for us and all that we start: each upload in flight is two."""
    with suppress(ValueError, OSError):  # macOS names a limit that it does not grant
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
    """Start a child on the leash in `folder`; it inherits the descriptors `keep`. OSError when it cannot be run."""
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
    """Signal the group of a child; False when nobody is left in it."""
    try:
        os.killpg(leader, signum)
    except (ProcessLookupError, PermissionError):  # macOS says the latter of a group of zombies
        return False
    return True


async def clear_group(leader: int, deadline_s: float) -> None:
    """End what a dead child left behind: SIGTERM, after the deadline SIGKILL; returns when nobody is left."""
    loop, told = asyncio.get_running_loop(), 0
    until = loop.time() + deadline_s
    while _others_alive(leader):
        signum = signal.SIGTERM if loop.time() < until else signal.SIGKILL
        if signum != told:
            signal_group(leader, signum)
            told = signum
        await asyncio.sleep(POLL_S)


def _others_alive(leader: int) -> bool:
    """Whether the group has a member; those that were adopted and have ended are reaped on the way."""
    with suppress(ChildProcessError):
        while os.waitpid(-leader, os.WNOHANG)[0]:
            pass
    return signal_group(leader, 0)
