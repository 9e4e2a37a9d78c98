"""The node's PUTs are read from its metrics."""

import itertools
import socket
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bench.costing.steps import Unread, stage, until
from bench.peers.started import StartError

TEXT = """snapsurge_stage_seconds_bucket{le="0.001",stage="store"} 0.0
snapsurge_stage_seconds_bucket{le="0.0025",stage="store"} 3.0
snapsurge_stage_seconds_bucket{le="+Inf",stage="store"} 4.0
snapsurge_stage_seconds_bucket{le="0.001",stage="accept"} 9.0
"""


def test_finite_buckets_of_the_store_are_read() -> None:
    """Not those of other stages."""
    assert stage(TEXT) == {0.001: 0.0, 0.0025: 3.0}
    assert stage("") == {}


async def test_a_state_is_waited_for() -> None:
    """Of this process, or asked of another one."""
    numbers = itertools.count()

    async def third() -> bool:
        return next(numbers) > 1

    await until(third, "never said")
    await until(lambda: next(numbers) > 5, "never said")
    assert next(numbers) == 7


async def test_what_does_not_come_is_named() -> None:
    """In the words of the caller, in place of a TimeoutError without any."""
    with pytest.raises(StartError, match=r"not within 0.05 s: 5 pairs are rendered"):
        await until(lambda: False, "5 pairs are rendered", 0.05)


async def test_bytes_that_stay_in_the_kernel_are_not_waited_for() -> None:
    """A node wakes for 32 KiB or a body's end: what is less stays unread while the phone is silent."""
    server = socket.create_server(("127.0.0.1", 0))
    stack = SimpleNamespace(ports={"lb": 1, "node": server.getsockname()[1]})
    with server, socket.create_connection(server.getsockname()) as phone, server.accept()[0] as node:
        unread = Unread(cast("Any", stack))
        phone.sendall(bytes(5000))
        await until(unread.still, "nothing is read any more", 60)
        assert unread.of_node == 5000

        node.recv(2000)
        assert not unread.still()
        assert unread.of_node == 3000
