"""How a process is told to stop: by SIGTERM or SIGINT, or by the end of its standard input when its parent has died.

Only the parent holds the other end of the pipe, and the kernel closes it however the parent dies. Unlike
PR_SET_PDEATHSIG this needs no code between fork and exec, has no race at the start, works on every Unix, and also
reaches a child that does not read its standard input yet.
"""

import asyncio
import contextlib
import logging
import os
import signal

log = logging.getLogger("snapsurge.processors.stopping")

STDIN = 0


def stopping(*, at_eof: bool) -> asyncio.Event:
    """An event, set by the first signal or, with `at_eof`, by the end of standard input; a second signal exits."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def signalled(number: signal.Signals) -> None:
        if stop.is_set():
            os._exit(128 + number)
        log.info("%s: finishing the running jobs, then exiting", number.name)
        stop.set()

    def readable() -> None:
        if not os.read(STDIN, 4096):
            loop.remove_reader(STDIN)
            log.info("the parent process is gone: finishing the running jobs, then exiting")
            stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled, number)
    if at_eof:
        loop.add_reader(STDIN, readable)
    return stop


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait for this many seconds, or until `stop` is set."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
