"""A generator that cannot join, or whose coordinator is gone: one line, and no load without a coordinator."""

import asyncio

import pytest

from bench.clock import SystemClock
from bench.replay import generator
from bench.replay.generator import JoinFailed
from bench.replay.messages import HELLO, Fire, Hello, Ping, Refused, Wire
from tests.ports import free_port


async def test_no_coordinator_is_said_with_its_address() -> None:
    """Nobody listens there."""
    port = free_port()
    with pytest.raises(JoinFailed, match=f"no coordinator answers at 127.0.0.1:{port}"):
        await generator.join(("127.0.0.1", port), "m", 1, SystemClock())


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ((), "the coordinator is gone before the run has ended"),
        ((Ping(),), "the coordinator is gone before the run has ended"),
        ((Refused("because"),), "because"),
        ((Fire("m", 0.0),), "the coordinator fired before it sent the plan"),
    ],
)
async def test_a_coordinator_that_ends_early_ends_the_generator(
    said: tuple[Ping | Refused | Fire, ...], why: str
) -> None:
    """With the reason."""
    heard: list[Hello] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = Wire(reader, writer)
        heard.append(await wire.receive(HELLO))
        for message in said:
            await wire.send(message)
        wire.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server, asyncio.timeout(60):
        with pytest.RaisesGroup(pytest.RaisesExc(JoinFailed, match=why), allow_unwrapped=True, flatten_subgroups=True):
            await generator.join(server.sockets[0].getsockname(), "m", 3, SystemClock())

    assert [(one.machine, one.generators) for one in heard] == [("m", 3)]
