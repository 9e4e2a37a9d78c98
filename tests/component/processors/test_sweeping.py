"""The sweeper while things change under it: between two listings, after a restart, when the store goes away."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from typing import Any
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from processors.letters import DeadLetter, DeadLetters
from processors.sweeper import Sweeper
from storage import keys
from storage.blobs import Entry, StoreUnavailable
from storage.config import Config
from storage.files import FileStore
from storage.keys import PURGED_KEY
from storage.opening import redis_client
from storage.queue.shards import home
from storage.records import from_ms
from tests.e2e.test_processors_harness import until
from tests.fake_sentinel import FakeSentinel, address

FIRES_S = 1_767_225_600.0
NOW_S = FIRES_S + 60


class Listed(FileStore):
    """The world's store, where something happens before each listing; it says whether the listing finds anything."""

    def __init__(self, world: Any, before: Callable[[str], Awaitable[bool]]) -> None:
        super().__init__(world.store.root)
        self.before = before

    async def list_in(self, prefix: str, parents: Sequence[str], folders: Collection[str]) -> AsyncIterator[Entry]:
        """The entries, or none."""
        for parent in parents:
            if await self.before(f"{prefix}{parent}/"):
                async for entry in super().list_in(prefix, [parent], folders):
                    yield entry


async def test_what_is_newer_than_the_first_listing_is_no_leftover(world: Any) -> None:
    """A pair that was accepted and rendered between the listings keeps its renditions."""
    post_id = await world.post()
    await world.jobs().render_pair(world.moment_id, post_id)

    async def no_intake(prefix: str) -> bool:
        return "/intake/" not in prefix

    async with Listed(world, no_intake) as store:
        swept = await Sweeper(store, world.redis, every_s=15).sweep(NOW_S)

    assert (swept.moments, swept.posts, swept.tidied) == (1, 0, 0)
    assert await world.record(post_id) is not None


async def test_what_is_rendered_between_the_listings_is_not_queued(world: Any) -> None:
    """Intake is listed first, so that whatever has no media object then really had none."""
    post_id = await world.post()
    listed: list[str] = []

    async def rendered_before_the_second(prefix: str) -> bool:
        if prefix.startswith(f"{keys.spread(post_id)}/"):
            listed.append(prefix)
            if len(listed) == 2:
                await world.jobs().render_pair(world.moment_id, post_id)
        return True

    async with Listed(world, rendered_before_the_second) as store:
        swept = await Sweeper(store, world.redis, every_s=15).sweep(NOW_S)

    assert (swept.posts, swept.unfinished) == (1, 0)


async def test_all_moments_are_swept_at_once_after_a_restart(world: Any) -> None:
    """The cursors of the other age classes are as old as that of the class that is swept first."""
    await world.moments.create("us-east", int((FIRES_S - 2000) * 1000), 120)
    swept = Sweeper(world.store, world.redis, every_s=15)
    while await swept.step(NOW_S) is not None:
        pass
    await world.redis.set("snapsurge:swept", "of another life")

    assert [await swept.step(NOW_S) is not None for _ in range(33)].count(True) >= 32


async def test_a_queue_that_was_emptied_is_swept_at_once(world: Any, redis_url: str) -> None:
    """Though the cursors stand in another Redis and are all there."""
    async with Redis.from_url(redis_url.removesuffix("/0") + "/1") as other:
        swept = Sweeper(world.store, world.redis, every_s=15, shards={"one": world.redis, "other": other})
        while await swept.step(NOW_S) is not None:
            pass
        await other.flushdb()

        assert await swept.step(NOW_S) is not None


async def test_all_is_swept_at_once_after_a_failover_that_redis_did_not_notice(world: Any, redis_url: str) -> None:
    """The old primary is named again, still in its former life: what only the other one was told is missing in it."""
    port = urlsplit(redis_url).port
    assert port
    async with FakeSentinel(port, epoch=4) as sentinel, redis_client(Config(redis_url=address(sentinel))) as client:
        swept = Sweeper(world.store, client, every_s=15)
        while await swept.step(NOW_S) is not None:
            pass
        assert await Sweeper(world.store, client, every_s=15).step(NOW_S) is None
        sentinel.epoch = 6

        async def noticed() -> bool:
            return await swept.step(NOW_S) is not None

        await until(noticed)


@pytest.mark.parametrize("rubbish", [b"", b"\xff", b"{}", b"[" * 100_000])
async def test_a_cursor_that_cannot_be_read_is_none(rubbish: bytes, world: Any) -> None:
    """The pass begins anew, by hand and by itself."""
    await world.post()
    sweeper = Sweeper(world.store, world.redis, every_s=15)
    assert await sweeper.step(NOW_S) is not None  # from now on this Redis is known
    await world.redis.hset("snapsurge:sweep", mapping={"0": rubbish, b"\xff": rubbish})
    await world.redis.hset("snapsurge:sweep-by-hand", world.moment_id, rubbish)

    assert await sweeper.step(NOW_S) is not None
    assert (await sweeper.moment(world.moment_id, NOW_S)).posts == 1


async def test_a_store_that_goes_away_breaks_a_sweep_off(world: Any) -> None:
    """As the port's own error; how far the sweep was is known for a day."""
    listings = 0

    async def for_a_while(_: str) -> bool:
        nonlocal listings
        listings += 1
        if listings > 40:
            raise StoreUnavailable("away")
        return True

    async with Listed(world, for_a_while) as store:
        with pytest.raises(StoreUnavailable):
            await Sweeper(store, world.redis, every_s=15).moment(world.moment_id, NOW_S)

    assert 0 < await world.redis.ttl("snapsurge:sweep-by-hand") <= 86_400


async def test_a_queue_shard_that_is_away_stops_no_sweep(world: Any, absent_redis: Redis) -> None:
    """Even where all posts of a step belong to it: the others' posts are queued, its own at the next pass."""
    shards = {"here": world.redis, "away": absent_redis}
    posts = [await world.post(f"user {number}", told=False) for number in range(24)]
    here = {one for one in posts if home(one, shards) == "here"}
    assert 0 < len(here) < len(posts)

    swept = await Sweeper(world.store, world.redis, every_s=15, shards=shards).sweep(NOW_S)

    assert (swept.moments, swept.posts, swept.queued) == (1, len(posts), 2 * len(here))
    assert {one.partition(":")[2] for one in await world.queued()} == here
    back = {"here": world.redis, "away": world.redis}
    assert (await Sweeper(world.store, world.redis, every_s=15, shards=back).sweep(NOW_S)).queued > 0
    assert {one.partition(":")[2] for one in await world.queued()} == {*posts}


async def test_a_sweep_without_any_queue_is_put_off(world: Any, absent_redis: Redis) -> None:
    """It would list for nothing."""
    await world.post(told=False)
    with pytest.raises(RedisError):
        await Sweeper(world.store, world.redis, every_s=15, shards={"away": absent_redis}).sweep(NOW_S)


async def test_what_was_purged_stays_so_until_the_user_posts_anew(world: Any) -> None:
    """The sweeper finds its post unfinished for days; a new post, or ops, queue it as ever."""
    post_id = await world.post(front=b"no photo")
    job_id, dead = f"render_pair:{post_id}", DeadLetters(world.redis)
    letter = DeadLetter(
        id=job_id, name="render_pair", args=(world.moment_id, post_id), error="E", tries=5, at=from_ms(0)
    )
    await dead.keep(letter)
    assert await dead.purge([job_id, "render_pair:nobody"]) == 1
    assert await dead.all() == []

    for now_s in (NOW_S, NOW_S + 3600, NOW_S + 86_400):
        await Sweeper(world.store, world.redis, every_s=15).sweep(now_s)
        assert job_id not in await world.queued()
    assert await world.redis.ttl(PURGED_KEY) > 49 * 3600
    assert not await world.redis.zscore(PURGED_KEY, "render_pair:nobody")

    await world.enqueue(post_id)
    assert job_id in await world.queued()
    assert await dead.among([job_id]) == set()


async def test_a_new_post_ends_the_letter_of_the_old_one(world: Any) -> None:
    """Else the sweeper would take the new one for dead, should Redis lose its job."""
    post_id = await world.post()
    job_id, dead = f"render_pair:{post_id}", DeadLetters(world.redis)
    await dead.keep(DeadLetter(id=job_id, name="render_pair", args=(), error="E", tries=5, at=from_ms(0)))
    await world.enqueue(post_id)
    assert await dead.all() == []
