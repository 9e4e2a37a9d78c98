"""Proof that a fault happened: small checks of processes and servers, which raise `Void` when the answer is no."""

import asyncio
import contextlib
import email.utils
import os
import signal
import time

import aiohttp
import psutil

GONE_S = 10.0
POLL_S = 0.01


class Void(Exception):
    """The fault did not happen, so that the round proves nothing."""


def proven(holds: bool, what: str) -> str:  # noqa: FBT001 - reads as a sentence
    """Return `what` as the evidence; Void when it does not hold."""
    if not holds:
        raise Void(f"not so: {what}")
    return what


async def signalled(pid: int, signum: signal.Signals, gone_s: float = GONE_S) -> str:
    """Signal a process and wait until it has ended; Void when it has not ended after `gone_s`."""
    try:
        born = psutil.Process(pid).create_time()
        os.kill(pid, signum)
    except (psutil.NoSuchProcess, ProcessLookupError):
        raise Void(f"pid {pid} was gone before {signum.name}") from None
    deadline = time.monotonic() + gone_s
    while lives(pid, born):
        if time.monotonic() > deadline:
            raise Void(f"pid {pid} outlived {signum.name}")
        await asyncio.sleep(POLL_S)
    return f"pid {pid} ended by {signum.name}"


def lives(pid: int, born: float) -> bool:
    """Whether the process started at `born` still exists and is no zombie."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return process.create_time() == born and process.status() != psutil.STATUS_ZOMBIE
    return False


async def frozen(pid: int, seconds: float) -> str:
    """Send SIGSTOP, wait, send SIGCONT; Void unless the process was stopped at the start and the end of the wait."""
    try:
        process = psutil.Process(pid)
        process.suspend()
        try:
            async with asyncio.timeout(GONE_S):
                while (before := process.status()) != psutil.STATUS_STOPPED:
                    await asyncio.sleep(POLL_S)
            await asyncio.sleep(seconds)
            after = process.status()
        finally:
            process.resume()
    except psutil.NoSuchProcess:
        raise Void(f"pid {pid} was gone") from None
    except TimeoutError:
        raise Void(f"pid {pid} was never seen stopped") from None
    stopped = before == after == psutil.STATUS_STOPPED
    return proven(stopped, f"pid {pid} stood still for {seconds:.1f} s ({before}, {after})")


async def silent(session: aiohttp.ClientSession, url: str) -> bool:
    """Whether a new connection gets no answer of any kind within a short time."""
    try:
        async with session.get(url, timeout=aiohttp.ClientTimeout(total=0.4)):
            return False
    except (aiohttp.ClientError, TimeoutError, OSError):
        return True


async def clock_of(session: aiohttp.ClientSession, url: str) -> float:
    """Seconds by which a server's `Date` is ahead of our clock."""
    async with session.get(url, timeout=aiohttp.ClientTimeout(total=2)) as answer:
        return email.utils.parsedate_to_datetime(answer.headers["Date"]).timestamp() - time.time()
