"""The latest frame, for any number of readers."""

import asyncio

from deploy.watching.feed import Feed


async def test_a_slow_reader_gets_the_latest_frame_and_misses_those_between() -> None:
    """Nothing is kept for it."""
    feed = Feed()
    feed.publish(b"1")
    assert await feed.after(0) == (1, b"1")
    for frame in (b"2", b"3", b"4"):
        feed.publish(frame)
    assert await feed.after(1) == (4, b"4")


async def test_one_frame_wakes_all_readers() -> None:
    """Also the readers of the next one."""
    feed = Feed()
    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(feed.after(0)) for _ in range(3)]
        await asyncio.sleep(0)
        feed.publish(b"1")
    assert [reader.result() for reader in readers] == [(1, b"1")] * 3
    async with asyncio.TaskGroup() as group:
        reader = group.create_task(feed.after(1))
        await asyncio.sleep(0)
        feed.publish(b"2")
    assert reader.result() == (2, b"2")


async def test_closing_ends_all_readers() -> None:
    """Those that wait, and those that come later."""
    feed = Feed()
    feed.publish(b"1")
    async with asyncio.TaskGroup() as group:
        reader = group.create_task(feed.after(1))
        await asyncio.sleep(0)
        feed.close()
    assert reader.result() is None
    assert await feed.after(0) is None
