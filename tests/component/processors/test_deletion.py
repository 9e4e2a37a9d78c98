"""A deletion beside a render under way: whatever the order, the bucket shows the moment and nothing else."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.exceptions import RedisError

from processors.render.images import Renditions, render
from storage import keys
from storage.index import Observed
from storage.records import Post
from storage.tombstones import SIZE
from tests.component.processors.conftest import Unbatched


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


class Crossed:
    """The index as jobs use it; something happens before each report."""

    def __init__(self, index: Unbatched, happens: Callable[[], Awaitable[None]]) -> None:
        self._happens = happens
        self.post, self.proof, self._observe = index.post, index.proof, index.observe

    async def observe(self, post: Post, proof: str = "") -> Observed:
        """Report one post, late."""
        await self._happens()
        return await self._observe(post, proof)


@pytest.mark.parametrize("job", ["render_pair", "flag_late"])
@pytest.mark.parametrize("told", [True, False], ids=["the index knew it", "the index had lost it"])
async def test_no_late_report_of_a_job_shows_a_deleted_post(world: Any, job: str, *, told: bool) -> None:
    """The report is held until the post is deleted and Redis has lost that; at no time is there an entry."""
    post_id, seen = await world.post(told=told), list[Any]()

    async def gone() -> None:
        if not seen:
            await world.delete()
            await world.redis.flushall()
        seen.append(await world.indexed(post_id))

    jobs = world.jobs(index=Crossed(Unbatched(world.index), gone))
    with contextlib.suppress(RedisError):  # the job is tried again
        await getattr(jobs, job)(world.moment_id, post_id)
    seen.append(await world.indexed(post_id))
    assert len(seen) > 1
    assert seen == [None] * len(seen)
    await getattr(world.jobs(), job)(world.moment_id, post_id)
    assert await world.indexed(post_id) is None


@pytest.mark.parametrize("job", ["render_pair", "flag_late"])
async def test_a_job_restores_what_redis_lost(world: Any, job: str) -> None:
    """The post is there, so its report is proven; also if Redis loses its data again while the job reads the store."""
    post_id, lost = await world.post(), list[int]()

    async def lose() -> None:
        if len(lost) < 2:
            lost.append(await world.redis.flushall())

    jobs = world.jobs(index=Crossed(Unbatched(world.index), lose))
    with pytest.raises(RedisError, match="lost its data"):
        await getattr(jobs, job)(world.moment_id, post_id)
    assert await world.indexed(post_id) is None
    await getattr(jobs, job)(world.moment_id, post_id)
    entry = await world.indexed(post_id)
    assert entry is not None
    assert entry.late is False
