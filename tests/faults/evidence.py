"""How a fault proves that it happened: small questions to processes and servers, `Void` when the answer is no."""

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
    """The fault did not happen: the round proves nothing."""


def proven(holds: bool, what: str) -> str:  # noqa: FBT001 - reads as a sentence
    """The evidence, or Void."""
    if not holds:
        raise Void(f"not so: {what}")
    return what


async def signalled(pid: int, signum: signal.Signals, gone_s: float = GONE_S) -> str:
    """Signal a process and see it end."""
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
    """The same process is still there and no zombie."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return process.create_time() == born and process.status() != psutil.STATUS_ZOMBIE
    return False


async def frozen(pid: int, seconds: float) -> str:
    """SIGSTOP, that long, SIGCONT; it was stopped at the begin and at the end."""
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
    """A new connection gets no answer at once, whatever it would be."""
    try:
        async with session.get(url, timeout=aiohttp.ClientTimeout(total=0.4)):
            return False
    except (aiohttp.ClientError, TimeoutError, OSError):
        return True


async def clock_of(session: aiohttp.ClientSession, url: str) -> float:
    """Seconds that a server's `Date` is ahead of ours."""
    async with session.get(url, timeout=aiohttp.ClientTimeout(total=2)) as answer:
        return email.utils.parsedate_to_datetime(answer.headers["Date"]).timestamp() - time.time()
