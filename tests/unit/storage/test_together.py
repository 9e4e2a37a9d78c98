"""Calls at once: results in order, and a failure that callers know by its own type."""

import asyncio
from functools import partial

import pytest

from storage.blobs import StoreFull
from storage.together import together


async def test_results_come_in_the_order_of_the_calls() -> None:
    """Whichever ends first."""
    first_may_end = asyncio.Event()

    async def first() -> int:
        await first_may_end.wait()
        return 1

    async def second() -> int:
        first_may_end.set()
        return 2

    assert await together([first, second], "test") == [1, 2]


async def test_a_failure_is_raised_as_itself_and_cancels_the_rest() -> None:
    """Not as a group: callers know the port's errors."""
    cancelled: list[str] = []

    async def full() -> None:
        raise StoreFull("no room")

    async def endless(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(name)

    with pytest.raises(StoreFull):
        await together([partial(endless, "a"), partial(endless, "b"), full, full], "test")
    assert sorted(cancelled) == ["a", "b"]
