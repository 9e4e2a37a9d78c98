"""How a process of ours is told to stop: SIGTERM or SIGINT, a second one, or the end of its standard input.

The end of standard input is how a child learns that its parent is gone, however it went: the parent alone holds the
pipe's other end, and the kernel closes it. Unlike PR_SET_PDEATHSIG this needs no code between fork and exec, has no
race at the start, works on every Unix, and is seen by a child that was not listening yet.
"""

import asyncio
import contextlib
import logging
import os
import signal

log = logging.getLogger("snapsurge.processors.stopping")

STDIN = 0


def stopping(*, at_eof: bool) -> asyncio.Event:
    """An event that the first signal sets, or with `at_eof` the end of standard input; a second signal ends at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def signalled(number: signal.Signals) -> None:
        if stop.is_set():
            os._exit(128 + number)
        log.info("%s: no new jobs, finishing what runs", number.name)
        stop.set()

    def readable() -> None:
        if not os.read(STDIN, 4096):
            loop.remove_reader(STDIN)
            log.info("the parent is gone: no new jobs, finishing what runs")
            stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled, number)
    if at_eof:
        loop.add_reader(STDIN, readable)
    return stop


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait, but no longer than until `stop`."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
