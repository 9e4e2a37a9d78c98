"""Moments: with Redis, without it, and with one that was emptied."""

import asyncio
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from storage import keys
from storage.blobs import StoreUnavailable
from storage.files import FileStore
from storage.index import LISTED_DUE_S, Counts, Index
from storage.moments import DAY_MS, LISTED_S, Moments, NoSuchMoment
from storage.records import ACCEPTING_MS, Moment, from_ms

NOW_MS = 1_769_860_800_000  # 2026-01-31T12:00:00Z
HOUR_MS = 3600 * 1000


class Clock:
    """Monotonic seconds that the test sets."""

    now_s = 1000.0

    def __call__(self) -> float:
        """The seconds."""
        return self.now_s


@pytest.fixture(params=["redis", "no redis"])
def moments(request: pytest.FixtureRequest, files: FileStore) -> Moments:
    """Moments over a store, with Redis and with one that is away."""
    found: Redis = request.getfixturevalue("redis" if request.param == "redis" else "redis_away")
    return Moments(files, Index(found))


async def test_a_moment_is_created_and_found(moments: Moments, files: FileStore) -> None:
    """Its id says region and day and is hard to guess; it is durable and closes after its window."""
    moment = await moments.create("eu-west", NOW_MS, 120)

    assert moment.id.startswith("eu-west-20260131-")
    assert keys.is_moment_id(moment.id)
    assert (moment.fires_at, moment.closes_at) == ("2026-01-31T12:00:00.000Z", "2026-01-31T12:02:00.000Z")
    assert await moments.get(moment.id) == moment
    assert msgspec.json.decode(await files.read(keys.moment(moment.id)), type=Moment) == moment
    assert (await moments.create("eu-west", NOW_MS, 120)).id != moment.id


@pytest.mark.parametrize("name", ["eu-20260131-aaaaaaaa", "", "../../etc/passwd", "EU-20260131-AAAAAAAA"])
async def test_no_such_moment(name: str, moments: Moments) -> None:
    """A name nobody gave, and names that are none."""
    with pytest.raises(NoSuchMoment):
        await moments.get(name)


async def test_another_process_finds_it_in_the_store(moments: Moments, files: FileStore, redis: Redis) -> None:
    """Nothing cached and Redis emptied: the store knows, and Redis knows again."""
    moment = await moments.create("eu", NOW_MS, 120)
    await redis.flushall()

    assert await Moments(files, Index(redis)).get(moment.id) == moment
    assert await Index(redis).moment(moment.id) == moment


async def test_the_current_moment_is_the_last_that_fired(moments: Moments) -> None:
    """Of the region, never one to come, and none whose accepting period is over."""
    first = await moments.create("eu", NOW_MS - 2 * HOUR_MS, 120)
    second = await moments.create("eu", NOW_MS - HOUR_MS, 120)
    await moments.create("eu", NOW_MS + 1, 120)
    await moments.create("us", NOW_MS - 1, 120)

    assert await moments.current("eu", NOW_MS) == second
    assert await moments.current("eu", NOW_MS - HOUR_MS) == second
    assert await moments.current("eu", NOW_MS - HOUR_MS - 1) == first
    assert await moments.current("eu", NOW_MS - HOUR_MS + ACCEPTING_MS - 1) != first
    with pytest.raises(NoSuchMoment):
        await moments.current("asia", NOW_MS)
    with pytest.raises(NoSuchMoment):
        await moments.current("eu", NOW_MS - 3 * HOUR_MS)
    with pytest.raises(NoSuchMoment):
        await moments.current("eu", NOW_MS + 2 + ACCEPTING_MS)


async def test_moments_since_a_time_come_in_order(moments: Moments) -> None:
    """Those of earlier the same day are left out, those to come are in."""
    times = [NOW_MS + hours * HOUR_MS for hours in (2, -1, 0, -30)]
    created = {at: await moments.create("eu", at, 120) for at in times}

    assert await moments.since(NOW_MS) == [created[NOW_MS], created[NOW_MS + 2 * HOUR_MS]]
    assert await moments.since(0) == [created[at] for at in sorted(times)]
    assert await moments.since(NOW_MS + 3 * HOUR_MS) == []


async def test_an_emptied_redis_that_learnt_one_moment_hides_no_other(files: FileStore, redis: Redis) -> None:
    """After FLUSHALL somebody asks for one moment, or creates one; the others are still found."""
    before = Moments(files, Index(redis))
    old = await before.create("eu", NOW_MS - 2 * HOUR_MS, 120)
    new = await before.create("eu", NOW_MS - HOUR_MS, 120)
    other = await before.create("us", NOW_MS - HOUR_MS, 120)
    await redis.flushall()
    after = Moments(files, Index(redis))
    await after.get(old.id)

    assert await after.current("eu", NOW_MS) == new
    assert await after.current("us", NOW_MS) == other
    await redis.flushall()
    last = await after.create("eu", NOW_MS, 120)
    assert {one.id for one in await after.since(0)} == {old.id, new.id, other.id, last.id}


async def test_a_moment_whose_writer_missed_redis_is_found(files: FileStore, redis: Redis, redis_away: Redis) -> None:
    """Created while Redis was away, which came back with its old data: as soon as the listing is due again."""
    clock = Clock()
    seen = Moments(files, Index(redis), monotonic=clock)
    await seen.create("eu", NOW_MS - HOUR_MS, 120)
    await seen.since(0)
    missed = await Moments(files, Index(redis_away)).create("eu", NOW_MS, 120)
    assert 0 < await redis.ttl("snapsurge:moments-listed") <= 60
    await redis.delete("snapsurge:moments-listed")  # what its minute of life does
    clock.now_s += LISTED_S

    assert await seen.current("eu", NOW_MS) == missed


async def test_once_listed_redis_answers_alone(files: FileStore, redis: Redis) -> None:
    """The store is not asked again while the index has everything."""

    class Counting(FileStore):
        listings = 0

        def list(self, *words: Any, **more: Any) -> Any:
            Counting.listings += 1
            return super().list(*words, **more)

    async with Counting(files.root) as store:
        clock = Clock()
        moments = Moments(store, Index(redis), monotonic=clock)
        moment = await moments.create("eu", NOW_MS, 120)
        for _ in range(5):
            assert await moments.current("eu", NOW_MS) == moment

    assert Counting.listings == 1


async def test_a_new_moment_has_complete_counts(files: FileStore, redis: Redis) -> None:
    """Nothing was posted, and that is known."""
    moment = await Moments(files, Index(redis)).create("eu", NOW_MS, 120)

    assert await Index(redis).counts(moment.id) == Counts()


async def test_without_store_and_redis_it_is_unavailable(files: FileStore, redis_away: Redis) -> None:
    """Not a missing moment: our fault."""
    files.root.rename(files.root.with_name("elsewhere"))
    moments = Moments(files, Index(redis_away))

    with pytest.raises(StoreUnavailable):
        await moments.get("eu-20260131-aaaaaaaa")
    with pytest.raises(StoreUnavailable):
        await moments.current("eu", NOW_MS)
    with pytest.raises(StoreUnavailable):
        await moments.create("eu", NOW_MS, 120)


class Slow(FileStore):
    """A store that counts what it is asked."""

    listings = 0
    reads = 0

    def list(self, *words: Any, **more: Any) -> Any:
        """Counted."""
        self.listings += 1
        return super().list(*words, **more)

    async def read(self, key: str) -> bytes:
        """Counted, and after everybody else who is ready."""
        self.reads += 1
        await asyncio.sleep(0)
        return await super().read(key)


async def _scheduled(files: FileStore, count: int, *, first_ms: int = NOW_MS + 10 * DAY_MS) -> None:
    """So many moments, an hour apart, of which Redis knows nothing."""

    async def create(number: int) -> None:
        fires_ms = first_ms + number * HOUR_MS
        day, fires_at = from_ms(fires_ms)[:10].replace("-", ""), from_ms(fires_ms)
        moment = Moment(id=f"eu-{day}-{number}", region="eu", fires_at=fires_at, closes_at=fires_at, window_s=120)
        await files.create(keys.moment(moment.id), msgspec.json.encode(moment))

    await asyncio.gather(*map(create, range(count)))


async def _cost_s(files: FileStore, redis: Redis) -> float:
    """CPU seconds of this process for what programs do all the time, once they are warm."""
    moments = Moments(files, Index(redis))
    await moments.create("eu", NOW_MS - HOUR_MS, 120)
    spent = []
    for _ in range(5):
        began = time.process_time()
        for _ in range(40):
            await moments.current("eu", NOW_MS)
            assert len(await moments.since(NOW_MS - ACCEPTING_MS, NOW_MS)) >= 1
        spent.append(time.process_time() - began)
    return min(spent[1:])


async def test_moments_to_come_cost_nothing(tmp_path: Path, redis: Redis, redis_url: str) -> None:
    """3,000 of them against 3: the same work, and none of them is read."""
    costs = []
    for count in (3, 3000):
        await redis.flushall()
        async with Slow(tmp_path / str(count)) as store:
            await _scheduled(store, count)
            costs.append(await _cost_s(store, redis))
            assert (store.listings, store.reads) <= (1, 1)
    assert costs[1] <= 2 * costs[0], costs


async def test_many_who_ask_without_redis_share_one_listing(files: FileStore, redis_away: Redis) -> None:
    """However many moments there are, each is read once."""
    await _scheduled(files, 24, first_ms=NOW_MS - 23 * HOUR_MS)
    async with Slow(files.root) as store:
        moments = Moments(store, Index(redis_away))
        found = await asyncio.gather(*(moments.current("eu", NOW_MS) for _ in range(50)))
        assert {one.fires_at for one in found} == {from_ms(NOW_MS)}
        await moments.since(NOW_MS - HOUR_MS, NOW_MS)
        assert (store.listings, store.reads) == (1, 24)


async def test_a_region_without_moments_costs_no_listing(files: FileStore, redis: Redis) -> None:
    """Redis knows that there is none."""
    async with Slow(files.root) as store:
        clock = Clock()
        moments = Moments(store, Index(redis), monotonic=clock)
        await moments.since(NOW_MS - ACCEPTING_MS, NOW_MS)
        clock.now_s += LISTED_S
        for _ in range(5):
            with pytest.raises(NoSuchMoment):
                await moments.current("nowhere", NOW_MS)
        assert store.listings == 1


async def test_who_looks_regularly_lists_before_others_must(files: FileStore, redis: Redis) -> None:
    """At half of the listing's lifetime; while the store is unavailable, the listing in Redis counts to its end."""
    async with Slow(files.root) as store:
        clock = Clock()
        moments = Moments(store, Index(redis), monotonic=clock)
        moment = await moments.create("eu", NOW_MS - HOUR_MS, 120)
        await moments.since(NOW_MS - ACCEPTING_MS, NOW_MS)
        await redis.expire("snapsurge:moments-listed", LISTED_DUE_S - 1)
        clock.now_s += LISTED_S
        assert await moments.since(NOW_MS - ACCEPTING_MS, NOW_MS) == [moment]
        assert await redis.ttl("snapsurge:moments-listed") > LISTED_DUE_S
        assert store.listings == 2
        await redis.expire("snapsurge:moments-listed", LISTED_DUE_S - 1)
        clock.now_s += LISTED_S
        files.root.rename(files.root.with_name("elsewhere"))
        assert await moments.since(NOW_MS - ACCEPTING_MS, NOW_MS) == [moment]


async def test_a_moment_that_cannot_be_read_is_not_tried_at_every_look(files: FileStore, redis_away: Redis) -> None:
    """It hides no other moment, and costs one read a minute."""
    await _scheduled(files, 2, first_ms=NOW_MS - 2 * HOUR_MS)
    await files.create(keys.moment("eu-20260131-bad"), b"{")
    async with Slow(files.root) as store:
        clock = Clock()
        moments = Moments(store, Index(redis_away), monotonic=clock)
        for _ in range(5):
            clock.now_s += LISTED_S
            assert len(await moments.since(NOW_MS - ACCEPTING_MS, NOW_MS)) == 2
        assert store.reads == 3
