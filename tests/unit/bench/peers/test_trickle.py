"""bench.peers.trickle: open uploads, and memory before and after."""

import asyncio

import pytest

from bench.peers import trickle
from bench.peers.loadgen import LoadError, Target
from bench.peers.sink import Sink
from bench.peers.trickle import Memory


async def test_uploads_stay_open_while_memory_is_read() -> None:
    """Every phone has begun and none has finished at the second and third reading."""
    made: list[Sink] = []

    def sink() -> Sink:
        made.append(Sink())
        return made[-1]

    readings = iter((1000, 1300, 1200))
    server = await asyncio.get_running_loop().create_server(sink, "127.0.0.1", 0)
    async with server:
        target = Target(server.sockets[0].getsockname()[1])
        memory = await trickle.measure(target, 3, 0.5, lambda: next(readings))

    assert memory == Memory(1000, 1300, 1200)
    assert memory.per_upload(3) == pytest.approx(100)
    assert [0 < one._left < trickle.BODY_BYTES for one in made] == [True] * 3


async def test_an_upload_that_is_cut_is_no_measurement() -> None:
    """A balancer that drops slow phones would look lean."""

    class Cutting(Sink):
        def data_received(self, data: bytes) -> None:
            del data
            self.transport.abort()

    server = await asyncio.get_running_loop().create_server(Cutting, "127.0.0.1", 0)
    async with server:
        with pytest.raises(LoadError, match="was cut"):
            await trickle.measure(Target(server.sockets[0].getsockname()[1]), 2, 0.5, lambda: 0)
