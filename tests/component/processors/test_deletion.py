"""A deletion beside a render under way: whatever the order, the bucket shows the moment and nothing else."""

import asyncio
from typing import Any

import pytest

from processors.render.images import Renditions, render
from storage import keys
from storage.tombstones import SIZE


@pytest.mark.parametrize("redis_lost", [False, True], ids=["redis kept", "redis lost"])
@pytest.mark.parametrize("when", ["before", "during", "at the end of", "after"])
async def test_a_deleted_post_leaves_nothing_in_the_bucket(any_world: Any, when: str, *, redis_lost: bool) -> None:
    """On both stores, with the index' word or, when Redis lost it, by the intake object alone; replays too."""
    world, loop = any_world, asyncio.get_running_loop()
    post_id = await world.post()

    async def gone() -> None:
        await world.delete()
        if redis_lost:
            await world.redis.flushall()

    def rendered(front: bytes, back: bytes) -> Renditions:
        """On the render's thread, after its GET and before its PUT, the post is deleted to the end."""
        if when == "during":
            asyncio.run_coroutine_threadsafe(gone(), loop).result()
        made = render(front, back)
        if when == "at the end of":
            asyncio.run_coroutine_threadsafe(gone(), loop).result()
        return made

    job = world.jobs(renders=rendered)
    if when == "before":
        await gone()
    assert await job.render_pair(world.moment_id, post_id) == ("ready" if when == "after" else "deleted")
    if when == "after":
        await gone()

    for late in (job.render_pair, job.flag_late):  # a replay, and the other job
        await late(world.moment_id, post_id)
    left = [entry.size async for entry in world.store.list("") if entry.key != keys.moment(world.moment_id)]
    assert left == [SIZE] * 2
    await world.existence.clear(world.moment_id, post_id)
    assert [entry.key async for entry in world.store.list("")] == [keys.moment(world.moment_id)]
