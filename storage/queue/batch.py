"""Batches concurrent calls into one round trip: items that arrive within a few milliseconds are flushed together.

A caller awaits `add` and gets the result of its own item, or the exception of the flush. The linger is short compared
with an upload and long compared with a Redis round trip. While one flush runs, the next batch collects. No caller waits
forever: if the batcher is cancelled, items not yet flushed are cancelled, and a batcher that is not open raises. This
file knows neither Redis nor posts.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item, Result]):
    """`async with Batcher(flush) as batcher: await batcher.add(item)`; leaving the block flushes the waiting items."""

    def __init__(
        self,
        flush: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        linger_s: float = 0.002,
        items_max: int = 256,
    ) -> None:
        self._flush = flush
        self._linger_s = linger_s
        self._items_max = items_max
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._arrived = asyncio.Event()
        self._open = False
        self._closing = False
        self._tasks = asyncio.TaskGroup()

    async def add(self, item: Item) -> Result:
        """The item's result, after its batch was flushed; every caller of a batch gets the exception of its flush."""
        if not self._open:
            raise RuntimeError("the batcher is not open")
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._arrived.set()
        return await future

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._tasks.create_task(self._run(), name="batcher")
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        self._arrived.set()
        await self._tasks.__aexit__(None, None, None)

    async def _run(self) -> None:
        batch: list[tuple[Item, asyncio.Future[Result]]] = []
        try:
            while self._waiting or not self._closing:
                await self._arrived.wait()
                if not self._closing:
                    await asyncio.sleep(self._linger_s)
                batch, self._waiting = self._waiting[: self._items_max], self._waiting[self._items_max :]
                if not self._waiting and not self._closing:
                    self._arrived.clear()
                if batch:
                    await self._settle(batch)
        finally:
            self._open = False
            for _, future in (*batch, *self._waiting):
                future.cancel()  # no effect on futures that are done

    async def _settle(self, batch: list[tuple[Item, "asyncio.Future[Result]"]]) -> None:
        try:
            results = await self._flush([item for item, _ in batch])
            settled = list(zip(batch, results, strict=True))
        except Exception as error:  # noqa: BLE001 - it belongs to the callers, each of whom gets it
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), result in settled:
            if not future.done():
                future.set_result(result)
