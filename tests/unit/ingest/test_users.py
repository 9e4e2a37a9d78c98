"""Calls about all of a user's posts are much work: a node makes few at a time, and one of a user."""

import asyncio
from typing import Any, cast

import pytest

from ingest.errors import Refusal
from ingest.users import PIECE_BYTES, Paced, Turns


def refused(turns: Turns, user: str) -> Refusal:
    """The refusal of a turn for this user."""
    with pytest.raises(Refusal) as refusal, turns.of(user):
        raise AssertionError
    return refusal.value


def test_a_user_has_one_turn_and_a_node_so_many() -> None:
    """The user is told to wait (429), others that the node is full (503); a turn that failed is free."""
    turns = Turns(2, "exports")
    with turns.of("ann"):
        assert refused(turns, "ann").code == "rate-limited"
        with turns.of("ben"):
            full = refused(turns, "cem")
        assert (full.code, int(full.headers["Retry-After"]) >= 1) == ("overloaded", True)
        with pytest.raises(ZeroDivisionError), turns.of("ben"):
            raise ZeroDivisionError
        with turns.of("cem"):
            pass


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
