"""Being told to stop: by a signal, by the end of standard input, and not waiting longer than that."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from processors.stopping import pause, stopping

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
import asyncio, uvloop
from processors.stopping import stopping
async def main():
    stop = stopping(at_eof={at_eof})
    print("ready", flush=True)
    await stop.wait()
    print("stopped", flush=True)
    if {stubborn}:
        await asyncio.Event().wait()
uvloop.run(main())
"""


def started(*, at_eof: bool = False, stubborn: bool = False) -> "subprocess.Popen[str]":
    """A process that waits to be told; it has said that it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(at_eof=at_eof, stubborn=stubborn)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_sets_the_event(number: signal.Signals) -> None:
    """The first one asks."""
    loop = asyncio.get_running_loop()
    stop = stopping(at_eof=False)
    try:
        os.kill(os.getpid(), number)
        async with asyncio.timeout(5):
            await stop.wait()
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        loop.remove_signal_handler(signal.SIGINT)


def test_the_end_of_standard_input_stops_a_child() -> None:
    """Whoever held the pipe is gone."""
    with started(at_eof=True) as process:
        output, _ = process.communicate(timeout=10)

    assert output == "stopped\n"
    assert process.returncode == 0


def test_standard_input_is_nobodys_business_unless_asked() -> None:
    """A program started from a terminal or from nowhere does not stop by itself."""
    with started() as process:
        assert process.stdin
        process.stdin.close()
        process.terminate()
        assert process.wait(10) == 0


def test_the_second_signal_ends_at_once() -> None:
    """A process that does not finish can still be ended politely."""
    with started(stubborn=True) as process:
        assert process.stdout
        process.terminate()
        assert process.stdout.readline() == "stopped\n"
        process.terminate()

        assert process.wait(10) == 128 + signal.SIGTERM


async def test_a_pause_ends_with_the_stop() -> None:
    """Nobody waits an hour for the end of a pause."""
    stop = asyncio.Event()
    await pause(stop, 0.001)
    stop.set()
    async with asyncio.timeout(5):
        await pause(stop, 3600)
