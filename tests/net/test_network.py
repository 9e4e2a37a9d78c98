"""The network of the tests: hosts reach each other, and every way to break a link breaks only that link."""

import asyncio
import contextlib
from collections.abc import Iterator

import pytest

from tests.faults.rig import until
from tests.net.network import Host, Network, missing

PORT = 7000


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    """A network without programs."""
    if why := missing():
        pytest.skip(why)
    with Network() as made:
        yield made


async def reaches(source: Host, target: Host, *, size: int = 1) -> bool:
    """Whether so many bytes from one host arrive at the other, and its answer comes back, within two seconds."""
    served = target.inside("python3", "-c", SERVER, target.address)
    asked = source.inside("python3", "-c", CLIENT, target.address, str(size))
    server = await asyncio.create_subprocess_exec(*served, stdout=asyncio.subprocess.PIPE)
    assert server.stdout
    await server.stdout.readline()
    client = await asyncio.create_subprocess_exec(*asked)
    try:
        return await client.wait() == 0
    finally:
        with contextlib.suppress(ProcessLookupError):  # it ended by itself
            server.kill()
        await server.wait()


SERVER = f"""
import socket, sys
with socket.create_server((sys.argv[1], {PORT})) as listening:
    print("ready", flush=True)
    accepted, _ = listening.accept()
    while accepted.recv(65536):
        pass
    accepted.sendall(b"y")
"""
CLIENT = f"""
import socket, sys
try:
    with socket.create_connection((sys.argv[1], {PORT}), timeout=2) as dialled:
        dialled.sendall(bytes(int(sys.argv[2])))
        dialled.shutdown(socket.SHUT_WR)
        sys.exit(dialled.recv(1) != b"y")
except OSError:
    sys.exit(1)
"""


async def test_hosts_reach_each_other(network: Network) -> None:
    """Each the next, a byte and a megabyte."""
    first, second, third = network.hosts
    assert await reaches(first, second)
    assert await reaches(second, third, size=1_000_000)
    assert await reaches(third, first)


async def test_a_rule_drops_what_it_names_and_counts_it(network: Network) -> None:
    """And no other host's packets; it ends with its block."""
    first, second, third = network.hosts
    with network.deaf(first, [second.address]) as (rule,):
        assert rule.packets() == 0
        assert not await reaches(second, first)
        assert rule.packets() > 0
        assert await reaches(third, first)
    assert await reaches(second, first)


async def test_a_black_hole_swallows_large_packets_only(network: Network) -> None:
    """A small request is answered, a large one never arrives."""
    first, second, _ = network.hosts
    with network.deaf(first, [second.address], "-m", "length", "--length", "1000:65535"):
        assert await reaches(second, first)
        assert not await reaches(second, first, size=100_000)


async def test_an_unplugged_host_is_alone_until_it_is_plugged_in_again(network: Network) -> None:
    """The others are not concerned."""
    first, second, third = network.hosts
    network.unplug(first)
    assert not await reaches(first, second)
    assert await reaches(second, third)
    network.replug(first)
    await until(lambda: reaches(first, second), "the host is back")  # addresses are resolved anew
