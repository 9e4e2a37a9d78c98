"""The client of an export must read; how fast it does decides whose turn ends when others wait."""

import asyncio
import math
from typing import Any, cast

import pytest

from ingest import users
from ingest.users import PIECE_BYTES, Paced
from tests.faults.rig import until


class Client:
    """A response whose client takes a piece for each permit."""

    def __init__(self, permits: int) -> None:
        self.permits = asyncio.Semaphore(permits)
        self.taken = 0

    async def write(self, piece: memoryview) -> None:
        """Take a piece."""
        await self.permits.acquire()
        self.taken += len(piece)


async def test_an_export_ends_when_its_client_reads_below_the_minimum_rate() -> None:
    """One that takes a piece now and then does not hold its place for ever; one at the rate is served."""
    slow, fast = Client(3), Client(9)
    with pytest.raises(TimeoutError):
        await Paced(cast("Any", slow), rate_bytes_s=10**9, grace_s=0.05).write(bytes(9 * PIECE_BYTES))
    assert slow.taken == 3 * PIECE_BYTES

    paced = Paced(cast("Any", fast), rate_bytes_s=1, grace_s=0.05)
    await paced.write(bytes(5 * PIECE_BYTES))
    await paced.write(bytes(4 * PIECE_BYTES))
    assert fast.taken == 9 * PIECE_BYTES


async def test_pieces_now_and_then_do_not_buy_more_time_than_their_bytes() -> None:
    """A limit for each piece alone would never end this export."""
    client = Client(0)
    paced = Paced(cast("Any", client), rate_bytes_s=64 * PIECE_BYTES, grace_s=0.1)
    loop = asyncio.get_running_loop()

    def permit() -> None:
        client.permits.release()
        loop.call_later(0.05, permit)

    permit()
    with pytest.raises(TimeoutError):
        await paced.write(bytes(1000 * PIECE_BYTES))
    assert client.taken < 1000 * PIECE_BYTES


async def test_the_pace_of_a_client_is_what_it_takes_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not known while the client keeps up; what it took at first, when it was fast, does not count for ever."""
    monkeypatch.setattr(users, "JUDGED_S", 0.05)
    client = Client(500)
    paced = Paced(cast("Any", client), rate_bytes_s=1, grace_s=60)
    assert paced.pace() == math.inf
    await paced.write(bytes(500 * PIECE_BYTES))

    stalled = asyncio.create_task(paced.write(bytes(3 * PIECE_BYTES)))  # noqa: TID251 - awaited
    for _ in range(2):

        async def slow() -> bool:
            return paced.pace() < 10 * PIECE_BYTES / 0.05

        client.permits.release()
        await until(slow, "the pace is that of a client that stalls")
    client.permits.release()
    await stalled
