"""A toxic for one process affects the connections of that process only."""

import asyncio
import subprocess
import sys

from tests.attack.lonely import OfProcess
from tests.faults.proxy import FaultProxy
from tests.faults.toxics import Blackhole

ECHOED = b"hello"
CLIENT = """
import socket, sys
one = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
one.settimeout(1)
for _ in sys.stdin:
    one.sendall(b"hello")
    try:
        print("echo" if one.recv(5) else "end", flush=True)
    except TimeoutError:
        print("silence", flush=True)
"""


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send all bytes back until the client closes."""
    while data := await reader.read(100):
        writer.write(data)
    writer.close()


async def test_only_the_connections_of_that_process_are_struck() -> None:
    """Connections work before the toxic, and another process's connections work during it."""
    listening = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with listening, FaultProxy(listening.sockets[0].getsockname()[1]) as proxy:
        command = [sys.executable, "-u", "-c", CLIENT, str(proxy.port)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
            assert client.stdin
            assert client.stdout

            async def said() -> bytes:
                assert client.stdin
                assert client.stdout
                client.stdin.write(b"\n")
                client.stdin.flush()
                return (await asyncio.to_thread(client.stdout.readline)).strip()

            assert await said() == b"echo"
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            with proxy.toxic(OfProcess(client.pid, Blackhole())) as toxic:
                assert await said() == b"silence"
                writer.write(ECHOED)
                assert await reader.readexactly(len(ECHOED)) == ECHOED
            writer.close()
            client.kill()
    assert toxic.hits == 1
