"""Many callers, one flush: who shares it, who gets what, and what happens at the end."""

import asyncio
from collections.abc import Sequence

import pytest

from storage.queue.batch import Batcher


class Flush:
    """A flush that doubles numbers, remembers its batches, fails or waits on demand."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = asyncio.Event()

    async def __call__(self, items: Sequence[int]) -> list[int]:
        """Twice each number."""
        self.batches.append(list(items))
        self.begun.set()
        await self.gate.wait()
        if self.error:
            raise self.error
        return [item * 2 for item in items]


async def test_many_adds_share_one_flush_and_get_their_own_results() -> None:
    """A hundred callers at once cost one round trip, and each gets the result of its own item."""
    flush = Flush()
    async with Batcher(flush, linger_s=0) as batcher:
        results = await asyncio.gather(*(batcher.add(number) for number in range(100)))

    assert results == [number * 2 for number in range(100)]
    assert flush.batches == [list(range(100))]


async def test_a_batch_has_its_limit() -> None:
    """Ten items at four a batch make three batches, in order."""
    flush = Flush()
    async with Batcher(flush, linger_s=0, items_max=4) as batcher:
        results = await asyncio.gather(*(batcher.add(number) for number in range(10)))

    assert results == [number * 2 for number in range(10)]
    assert flush.batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


async def test_the_next_batch_collects_while_one_is_flushed() -> None:
    """Items that arrive during a flush wait for the next one, together."""
    flush = Flush()
    flush.gate.clear()
    async with asyncio.TaskGroup() as group, Batcher(flush, linger_s=0) as batcher:
        first = group.create_task(batcher.add(1))
        await flush.begun.wait()
        later = [group.create_task(batcher.add(number)) for number in (2, 3)]
        await asyncio.sleep(0)
        flush.gate.set()
        assert [await first, *[await task for task in later]] == [2, 4, 6]

    assert flush.batches == [[1], [2, 3]]


async def test_a_failed_flush_fails_its_callers_and_no_others() -> None:
    """Everyone in the batch gets the exception; the next batch works."""
    flush = Flush()
    async with Batcher(flush, linger_s=0) as batcher:
        flush.error = ConnectionError("away")
        failed = await asyncio.gather(batcher.add(1), batcher.add(2), return_exceptions=True)
        flush.error = None
        assert await batcher.add(3) == 6

    assert [type(one) for one in failed] == [ConnectionError, ConnectionError]


async def test_a_flush_that_answers_too_little_fails_its_callers() -> None:
    """Two results for three items are nobody's: an error to all rather than a wait for ever."""

    async def short(items: Sequence[int]) -> list[int]:
        return list(items)[1:]

    async with Batcher(short, linger_s=0) as batcher:
        failed = await asyncio.gather(*(batcher.add(number) for number in range(3)), return_exceptions=True)

    assert [type(one) for one in failed] == [ValueError] * 3


async def test_closing_flushes_what_waits() -> None:
    """Leaving the block does not wait out a long linger's successors: everything added is flushed first."""
    flush = Flush()
    async with asyncio.TaskGroup() as group:
        async with Batcher(flush, linger_s=0, items_max=2) as batcher:
            tasks = [group.create_task(batcher.add(number)) for number in range(5)]
            await asyncio.sleep(0)
        assert [task.result() for task in tasks] == [0, 2, 4, 6, 8]


async def test_an_idle_batcher_closes_at_once() -> None:
    """Nothing was added, nothing is flushed."""
    flush = Flush()
    async with Batcher(flush):
        pass

    assert flush.batches == []


async def test_one_that_is_not_open_takes_nothing() -> None:
    """Before and after its block an add is an error, not a wait for ever."""
    batcher = Batcher(Flush())
    with pytest.raises(RuntimeError, match="not open"):
        await batcher.add(1)
    async with batcher:
        pass
    with pytest.raises(RuntimeError, match="not open"):
        await batcher.add(1)


async def test_a_caller_may_give_up() -> None:
    """A cancelled caller's item is flushed all the same, and disturbs nobody."""
    flush = Flush()
    flush.gate.clear()
    async with asyncio.TaskGroup() as group, Batcher(flush, linger_s=0) as batcher:
        impatient, patient = group.create_task(batcher.add(1)), group.create_task(batcher.add(2))
        await flush.begun.wait()
        impatient.cancel()
        await asyncio.sleep(0)
        flush.gate.set()
        assert await patient == 4

    assert impatient.cancelled()
    assert flush.batches == [[1, 2]]


async def test_a_batcher_cancelled_while_closing_leaves_nobody_waiting() -> None:
    """A second stop during the last flush cancels its callers and those behind them."""
    flush = Flush()
    flush.gate.clear()
    batcher = Batcher(flush, linger_s=0, items_max=1)

    async def program() -> None:
        async with batcher:
            ready.set()
            await flush.begun.wait()

    ready = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(program())
        await ready.wait()
        callers = [group.create_task(batcher.add(number)) for number in (1, 2)]
        await flush.begun.wait()
        await asyncio.sleep(0)
        running.cancel()

    assert [task.cancelled() for task in (running, *callers)] == [True, True, True]
