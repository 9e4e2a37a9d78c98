"""deploy.checks.lookups: a call in a thread may hang, and the program ends all the same."""

import asyncio
from threading import Event

import pytest

from deploy.checks.lookups import Abandoning


def test_asyncio_does_not_wait_for_a_call_that_hangs() -> None:
    """Neither when it is given up, nor at the end."""
    release, ended = Event(), Event()

    def look_up() -> None:
        release.wait(60)
        ended.set()

    async def main() -> None:
        asyncio.get_running_loop().set_default_executor(Abandoning())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.to_thread(look_up)

    asyncio.run(main())
    assert not ended.is_set()
    release.set()
    assert ended.wait(60)


def test_results_and_errors_come_back() -> None:
    """As from any executor."""

    async def main() -> None:
        asyncio.get_running_loop().set_default_executor(Abandoning())
        assert await asyncio.gather(*(asyncio.to_thread(int, text) for text in "123")) == [1, 2, 3]
        with pytest.raises(ValueError, match="invalid literal"):
            await asyncio.to_thread(int, "x")

    asyncio.run(main())
