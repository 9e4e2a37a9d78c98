"""bench.peers.meter: CPU and memory of real processes."""

import asyncio
import os
import subprocess
import sys
from contextlib import suppress

from bench.peers.meter import cpu_ms, family, rss_kib, unread_bytes


def test_work_is_seen_and_so_are_children() -> None:
    """A child that has worked adds its CPU and memory to its parent's."""
    before, alone = cpu_ms(os.getpid()), rss_kib(os.getpid())
    work = "sum(range(3_000_000)); print('done', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", work], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout
        assert child.stdout.readline() == "done\n"
        assert child.pid in family(os.getpid())
        assert cpu_ms(os.getpid()) - before > 10
        assert rss_kib(os.getpid()) > alone + 1000
        with suppress(BrokenPipeError):
            child.communicate("\n")


def test_threads_and_children_that_ended_still_count() -> None:
    """Work of a thread that has ended, and of a child that was waited for: `schedstat` shows neither."""
    work = (
        "import subprocess, sys, threading\n"
        "input()\n"
        "thread = threading.Thread(target=lambda: sum(range(6_000_000))); thread.start(); thread.join()\n"
        "print('thread', flush=True); input()\n"
        "subprocess.run([sys.executable, '-c', 'sum(range(6_000_000))'])\n"
        "print('child', flush=True); input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", work], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        readings = [cpu_ms(process.pid)]
        for ended in ("thread\n", "child\n"):
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == ended
            readings.append(cpu_ms(process.pid))
        process.communicate("\n")

    assert readings[1] - readings[0] > 40  # the loop takes 100 ms and more
    assert readings[2] - readings[1] > 40


def test_what_is_gone_costs_nothing() -> None:
    """No error for a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()

    assert (family(child.pid), cpu_ms(child.pid), rss_kib(child.pid)) == ([], 0.0, 0)


async def test_what_a_server_has_not_read_is_seen() -> None:
    """What its clients sent, of its own port alone, until it reads."""
    read = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()
        await read.wait()
        writer.transport.resume_reading()
        await reader.readexactly(7000)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        await asyncio.sleep(0)
        for _, writer in connections:
            writer.write(bytes(7000))
        assert unread_bytes(port) == 14_000
        assert unread_bytes(1) == 0
        read.set()
        for reader, writer in connections:
            assert await reader.read() == b""
            writer.close()
        assert unread_bytes(port) == 0
