"""bench.peers.trickle: open uploads, and memory before and after."""

import pytest

from bench.peers import trickle
from bench.peers.loadgen import LoadError, Target, head
from bench.peers.sink import Sink
from bench.peers.trickle import Memory
from tests.unit.bench.peers.listening import listening


async def test_uploads_stay_open_while_memory_is_read() -> None:
    """Every phone has begun and none has finished at the second and third reading."""

    class Counting(Sink):
        received = 0

        def data_received(self, data: bytes) -> None:
            self.received += len(data)
            super().data_received(data)

    readings = iter((1000, 1300, 1200))
    async with listening(Counting) as (port, made):
        memory = await trickle.measure(Target(port), 3, 0.5, lambda: next(readings))
        received = [one.received - len(head(user, trickle.BODY_BYTES)) for user, one in enumerate(made)]

    assert memory == Memory(1000, 1300, 1200)
    assert memory.per_upload(3) == pytest.approx(100)
    assert len(received) == 3
    assert all(0 < count < trickle.BODY_BYTES for count in received)


async def test_an_upload_that_is_cut_is_no_measurement() -> None:
    """A balancer that drops slow phones would look lean."""

    class Cutting(Sink):
        def data_received(self, data: bytes) -> None:
            del data
            self.transport.abort()

    async with listening(Cutting) as (port, _):
        with pytest.raises(LoadError, match="was cut"):
            await trickle.measure(Target(port), 2, 0.5, lambda: 0)
