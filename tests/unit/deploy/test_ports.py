"""Ports: kept from everybody but the program they are for."""

import random
import socket
import subprocess
import sys

import pytest

from deploy.ports import FREE_FIRST, HOST, KEEPS, Ports, PortTaken

LISTEN = """
import asyncio, sys
async def main():
    async with await asyncio.start_server(lambda r, w: None, "127.0.0.1", int(sys.argv[1])):
        print("listening", flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


def test_free_ports_of_two_stacks_never_meet() -> None:
    """Two searches from the same place find different ports, while both stacks live."""
    with Ports(random.Random(1)) as one, Ports(random.Random(1)) as other:
        found = [ports.free() for _ in range(50) for ports in (one, other)]

    assert len(set(found)) == len(found) or not KEEPS


def test_a_program_listens_on_a_port_that_is_kept() -> None:
    """The keeper is not in the way of the program, not even for its second life."""
    with Ports() as ports:
        port = ports.free()
        for _ in range(2):
            with subprocess.Popen(
                [sys.executable, "-c", LISTEN, str(port)], stdout=subprocess.PIPE, text=True
            ) as program:
                assert program.stdout
                assert program.stdout.readline() == "listening\n"
                socket.create_connection((HOST, port)).close()
                program.kill()


def test_a_port_somebody_listens_on_is_refused_by_number() -> None:
    """The error says which port, and what to do."""
    with socket.create_server((HOST, 0)) as server, Ports() as ports:
        port = server.getsockname()[1]

        with pytest.raises(PortTaken, match=f"port {port} is taken: .*--port"):
            ports.fixed(port)


class Beginning(random.Random):
    """Begins the search for free ports at this port."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port = port

    def randrange(self, *_: int) -> int:
        """The port's place in the range that is searched."""
        return self.port - FREE_FIRST


def test_a_reserved_port_is_kept_from_another_stack_and_given_back() -> None:
    """While one stack has reserved a port, another stack gets the next one; afterwards it may have that port."""
    with Ports() as one:
        port = one.free()
        if KEEPS:
            with Ports(Beginning(port)) as other:
                assert other.free() != port
    with Ports(Beginning(port)) as other:
        assert other.free() == port
    with Ports() as other:
        assert other.fixed(port) == port


def test_lingering_connections_of_an_earlier_run_are_no_obstacle() -> None:
    """A port whose last listener has gone, but not its closed connections, can be taken again."""
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection((HOST, port)) as client:
            accepted, _ = server.accept()
            accepted.close()  # the first to close is the one that lingers
            assert client.recv(1) == b""
    with Ports() as ports:
        assert ports.fixed(port) == port
