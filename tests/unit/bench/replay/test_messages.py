"""The wire between a coordinator and its generators: whole messages, within bounds, of the kind that is due."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from bench.config import Config
from bench.replay.beats import Arrival
from bench.replay.messages import (
    ASKED,
    HELLO,
    HELLO_BYTES_MAX,
    LENGTH,
    TOLD,
    Fire,
    Hello,
    Ping,
    Plan,
    Pong,
    Share,
    Wire,
    WireError,
)
from bench.traces.trace import Row

HI = Hello(protocol=1, host="h", pid=1, machine="m", generators=1)


@asynccontextmanager
async def ends() -> AsyncIterator[tuple[Wire, asyncio.StreamWriter]]:
    """One end as a wire, the other one raw."""
    taken: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]]
    taken = asyncio.get_running_loop().create_future()
    async with await asyncio.start_server(lambda *pair: taken.set_result(pair), "127.0.0.1", 0) as server:
        _, raw = await asyncio.open_connection(*server.sockets[0].getsockname())
        async with asyncio.timeout(60):
            reader, writer = await taken
            yield Wire(reader, writer), raw
        raw.close()
        writer.close()


@pytest.mark.parametrize(
    "message",
    [
        Ping(),
        Fire("m", 1_800_000_000.1234567),
        Share((Arrival(3, Row(t=1, u="u", f=2, b=3, up=4), "token"),), last=True),
        Plan(
            Config(auth_secret="-", region="eu"),
            ("http://a", "http://b"),
            obey_uplink=True,
            fresh=False,
            resume=True,
            photo_bytes_max=7,
        ),
    ],
)
def test_a_message_arrives_as_it_was_said(message: msgspec.Struct) -> None:
    """To the last digit of a time."""
    assert ASKED.decode(msgspec.msgpack.encode(message)) == message


async def test_messages_may_come_byte_by_byte() -> None:
    """Frames keep them apart."""
    frames = b"".join(LENGTH.pack(len(body)) + body for body in map(msgspec.msgpack.encode, (Pong(1.5), HI)))
    async with ends() as (wire, raw), asyncio.TaskGroup() as group:
        first = group.create_task(wire.receive(TOLD))
        for at in range(len(frames)):
            raw.write(frames[at : at + 1])
            await raw.drain()
        assert await first == Pong(1.5)
        assert await wire.receive(TOLD) == HI


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (b"", "the connection ended"),
        (b"\0\0", "the connection ended"),
        (LENGTH.pack(9) + b"x", "the connection ended"),
        (LENGTH.pack(HELLO_BYTES_MAX + 1), "a message of 4097 bytes, more than 4096"),
        (b"GET / HTTP/1.1\r\n\r\n", "a message of 1195725856 bytes"),
        (LENGTH.pack(1) + b"\xc1", "not a message of this version"),
        (LENGTH.pack(7) + msgspec.msgpack.encode(Ping())[:7], "not a message of this version"),
    ],
)
async def test_what_is_no_message_is_refused(frame: bytes, why: str) -> None:
    """Before any of it is believed."""
    async with ends() as (wire, raw):
        raw.write(frame)
        raw.write_eof()
        with pytest.raises(WireError, match=why):
            await wire.receive(HELLO, HELLO_BYTES_MAX)


async def test_a_message_of_another_kind_is_refused() -> None:
    """A generator does not ask, and a coordinator does not tell."""
    async with ends() as (wire, raw):
        body = msgspec.msgpack.encode(Ping())
        raw.write(LENGTH.pack(len(body)) + body)
        with pytest.raises(WireError, match="not a message of this version"):
            await wire.receive(TOLD)


async def test_a_message_of_the_largest_size_is_taken() -> None:
    """The bound itself is allowed."""
    padding = HELLO_BYTES_MAX - len(msgspec.msgpack.encode(msgspec.structs.replace(HI, host="x" * 3000))) + 3000
    body = msgspec.msgpack.encode(msgspec.structs.replace(HI, host="x" * padding))
    assert len(body) == HELLO_BYTES_MAX
    async with ends() as (wire, raw):
        raw.write(LENGTH.pack(len(body)) + body)
        assert (await wire.receive(HELLO, HELLO_BYTES_MAX)).pid == 1
