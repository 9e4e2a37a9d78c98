"""Moments are changed until they fire, by one swap; every process knows the last revision when posts come."""

from collections.abc import Callable

import msgspec
import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from storage import keys
from storage.blobs import BlobChanged, Buffer, StoreUnavailable
from storage.files import FileStore
from storage.index import Index
from storage.moments import COPY_S, DAY_MS, Moments, NoSuchMoment
from storage.records import Moment, from_ms
from storage.rescheduling import LEAD_S, MomentFired, Rescheduling

NOON_MS = 1_769_860_800_000  # 2026-01-31T12:00:00Z


class Clock:
    """Seconds that the test sets."""

    now_s = NOON_MS / 1000 - 3600

    def __call__(self) -> float:
        """The seconds."""
        return self.now_s


class World:
    """One store and one Redis, as several processes see them."""

    def __init__(self, store: FileStore, redis: Redis) -> None:
        self.store, self.redis, self.clock = store, redis, Clock()
        self.moments = self.process(redis)
        self.changes = Rescheduling(store, Index(redis), self.moments, clock=self.clock)

    def process(self, redis: Redis) -> Moments:
        """The moments as another process knows them."""
        return Moments(self.store, Index(redis), clock=self.clock, monotonic=self.clock)

    async def all(self, moments: Moments) -> list[Moment]:
        """Every moment of the day."""
        return await moments.since(NOON_MS - DAY_MS, NOON_MS + DAY_MS)


@pytest.fixture
def world(files: FileStore, redis: Redis) -> World:
    """An hour before noon."""
    return World(files, redis)


async def test_a_change_is_known_everywhere_before_the_moment_fires(world: World, redis_away: Redis) -> None:
    """By id, in lists and as the current one; with Redis and without it, a second later at most."""
    moment = await world.moments.create("eu", NOON_MS, 120)
    others = [world.process(world.redis), world.process(redis_away)]
    for one in others:
        assert await one.get(moment.id) == moment

    changed = await world.changes.change(moment.id, fires_at_ms=NOON_MS - 600_000, window_s=60)
    assert (changed.fires_at, changed.closes_at) == (from_ms(NOON_MS - 600_000), from_ms(NOON_MS - 540_000))
    assert (changed.window_s, changed.revision, changed.id) == (60, 1, moment.id)
    assert await world.moments.get(moment.id) == changed
    world.clock.now_s += COPY_S
    for one in others:
        assert await one.get(moment.id) == changed
        assert await world.all(one) == [changed]
        assert await one.current("eu", NOON_MS - 600_000) == changed
        with pytest.raises(NoSuchMoment):
            await one.current("eu", NOON_MS - 600_001)


async def test_a_cancelled_moment_is_no_more(world: World, redis_away: Redis) -> None:
    """For users it never was; a repetition of the cancellation is answered alike; who sweeps still sees it."""
    moment = await world.moments.create("eu", NOON_MS, 120)
    others = [world.moments, world.process(world.redis), world.process(redis_away)]
    for one in others:
        await one.get(moment.id)

    cancelled = await world.changes.change(moment.id, cancelled=True)
    assert await world.changes.change(moment.id, cancelled=True) == cancelled
    world.clock.now_s += COPY_S
    for one in others:
        with pytest.raises(NoSuchMoment):
            await one.get(moment.id)
        with pytest.raises(NoSuchMoment):
            await one.current("eu", NOON_MS)
        assert await world.all(one) == []
        assert await one.since(NOON_MS, cancelled=True) == [cancelled]
    with pytest.raises(NoSuchMoment):
        await world.changes.change(moment.id, window_s=60)
    with pytest.raises(NoSuchMoment):
        await world.changes.change("eu-20260131-none", cancelled=True)


async def test_a_moment_is_fixed_when_it_is_about_to_fire(world: World) -> None:
    """The limit from both sides, and after it has fired."""
    moment = await world.moments.create("eu", NOON_MS, 120)
    world.clock.now_s = NOON_MS / 1000 - LEAD_S

    changed = await world.changes.change(moment.id, window_s=90)

    world.clock.now_s += 0.001
    for later_s in (0, LEAD_S, 3600):
        world.clock.now_s += later_s
        with pytest.raises(MomentFired):
            await world.changes.change(moment.id, window_s=60)
        with pytest.raises(MomentFired):
            await world.changes.change(moment.id, cancelled=True)
        assert await world.moments.get(moment.id) == changed


async def test_a_new_time_must_be_one_that_every_process_hears_of(world: World) -> None:
    """Not in the past or the next two seconds, and not so far from the day in the id that no listing finds it."""
    moment = await world.moments.create("eu", NOON_MS, 120)
    first_ms = int((world.clock.now_s + LEAD_S) * 1000)
    midnight_ms = NOON_MS - DAY_MS // 2

    with pytest.raises(ValueError, match="2 s from now"):
        await world.changes.change(moment.id, fires_at_ms=first_ms - 1)
    with pytest.raises(ValueError, match="at most a day"):
        await world.changes.change(moment.id, fires_at_ms=midnight_ms + 2 * DAY_MS)
    last = await world.changes.change(moment.id, fires_at_ms=midnight_ms + 2 * DAY_MS - 1)
    world.clock.now_s += COPY_S
    assert await world.process(world.redis).since(NOON_MS, NOON_MS + 2 * DAY_MS) == [last]
    assert (await world.changes.change(moment.id, fires_at_ms=first_ms + 1000)).revision == 2


async def test_nothing_changes_by_the_same_again(world: World) -> None:
    """A repeated request finds what it asked for; the revision stays."""
    moment = await world.moments.create("eu", NOON_MS, 120)

    first = await world.changes.change(moment.id, window_s=60)

    assert await world.changes.change(moment.id, window_s=60) == first
    assert await world.changes.change(moment.id) == first
    assert first.revision == 1


async def test_a_copy_of_a_former_revision_never_takes_the_place_of_a_later_one(world: World) -> None:
    """A reader that read before the change and reports it after: Redis keeps the change."""
    moment = await world.moments.create("eu", NOON_MS, 120)
    changed = await world.changes.change(moment.id, window_s=60)

    await Index(world.redis).put_moments([moment])

    assert await Index(world.redis).moment(moment.id) == changed


async def test_a_redis_that_missed_a_change_is_corrected_by_the_next_listing(world: World, redis_away: Redis) -> None:
    """The change is durable, its caller is told to repeat it, and nobody has to."""
    moment = await world.moments.create("eu", NOON_MS, 120)
    away = Rescheduling(world.store, Index(redis_away), world.process(redis_away), clock=world.clock)
    with pytest.raises(RedisError):
        await away.change(moment.id, fires_at_ms=NOON_MS + 60_000)
    assert await Index(world.redis).moment(moment.id) == moment

    world.clock.now_s += COPY_S
    assert [one.revision for one in await world.all(world.process(world.redis))] == [1]
    assert (await Index(world.redis).moment(moment.id) or moment).revision == 1


async def test_a_read_that_began_before_a_moment_fired_is_asked_again(world: World, redis_away: Redis) -> None:
    """A store that took seconds for it may have read the former revision: no process keeps it for an hour."""
    moment = await world.moments.create("eu", NOON_MS, 120)
    reader = world.process(redis_away)
    world.clock.now_s = NOON_MS / 1000 + COPY_S
    reader.remember(moment, world.clock.now_s - 0.001)
    await world.store.swap(
        keys.moment(moment.id),
        (await world.store.read_tail(keys.moment(moment.id), 8192)).mark,
        msgspec.json.encode(msgspec.structs.replace(moment, revision=1)),
    )

    world.clock.now_s += COPY_S
    assert (await reader.get(moment.id)).revision == 1
    await world.store.delete(keys.moment(moment.id))
    world.clock.now_s += 3000
    assert (await reader.get(moment.id)).revision == 1


class Slow(FileStore):
    """A store whose next swap does something else first."""

    before: Callable[[], object] | None = None

    async def swap(self, key: str, mark: str, *parts: Buffer) -> None:
        """Take its time."""
        if self.before is not None:
            first, self.before = self.before, None
            first()
        await super().swap(key, mark, *parts)


@pytest.mark.parametrize(("early_s", "stands"), [(0.0, False), (COPY_S, False), (COPY_S + 0.001, True)])
async def test_a_change_that_the_store_took_too_long_for_is_undone(
    files: FileStore, redis: Redis, early_s: float, *, stands: bool
) -> None:
    """It landed when nodes may already open the moment by their copies; Redis, too, has the former one again."""
    async with Slow(files.root) as store:
        world = World(store, redis)
        moment = await world.moments.create("eu", NOON_MS, 120)

        def late() -> None:
            world.clock.now_s = NOON_MS / 1000 - early_s

        store.before = late
        if stands:
            assert (await world.changes.change(moment.id, cancelled=True)).cancelled
            return
        with pytest.raises(MomentFired):
            await world.changes.change(moment.id, cancelled=True)
        for there in (await Index(redis).moment(moment.id), await world.process(redis).get(moment.id)):
            assert there is not None
            assert msgspec.structs.replace(there, revision=0) == moment


async def test_a_change_without_an_answer_is_undone_if_it_may_come_too_late(files: FileStore, redis: Redis) -> None:
    """Whether it landed or will: the moment is as it was, and a repetition of the change finds another object."""
    async with Slow(files.root) as store:
        world = World(store, redis)
        moment = await world.moments.create("eu", NOON_MS, 120)
        mark = (await store.read_tail(keys.moment(moment.id), 8192)).mark

        def silent() -> None:
            world.clock.now_s = NOON_MS / 1000
            raise StoreUnavailable("no answer")

        store.before = silent
        with pytest.raises(StoreUnavailable):
            await world.changes.change(moment.id, cancelled=True)
        with pytest.raises(BlobChanged):
            await store.swap(keys.moment(moment.id), mark, b"the change, late")
        assert not (await world.process(redis).get(moment.id)).cancelled


async def test_a_copy_is_as_old_as_the_question(world: World, redis_away: Redis) -> None:
    """An answer that took the whole second is believed no longer, and never takes the place of a later revision."""
    moment = await world.moments.create("eu", NOON_MS, 120)
    reader = world.process(redis_away)
    changed = await world.changes.change(moment.id, window_s=60)

    reader.remember(moment, world.clock.now_s - COPY_S)
    assert await reader.get(moment.id) == changed
    assert reader.remember(moment, world.clock.now_s) == changed
    assert await reader.get(moment.id) == changed


async def test_of_two_changes_at_once_both_take_effect_or_one_after_the_other(world: World) -> None:
    """The slower one begins again from what the faster one made; a late repetition of a swap changes nothing."""
    moment = await world.moments.create("eu", NOON_MS, 120)
    mark = (await world.store.read_tail(keys.moment(moment.id), 8192)).mark

    await world.changes.change(moment.id, window_s=60)
    with pytest.raises(BlobChanged):
        await world.store.swap(keys.moment(moment.id), mark, msgspec.json.encode(moment))
    both = await world.changes.change(moment.id, fires_at_ms=NOON_MS + 1)
    assert (both.window_s, both.fires_at, both.revision) == (60, from_ms(NOON_MS + 1), 2)


async def test_overlapping_moments_of_a_region_are_independent(world: World, redis_away: Redis) -> None:
    """The current one is the one that fired last; of two at the same time the one with the greater id, everywhere."""
    await world.moments.create("eu", NOON_MS, 120)
    second = await world.moments.create("eu", NOON_MS + 30_000, 120)
    third = await world.moments.create("eu", NOON_MS + 30_000, 120)
    world.clock.now_s = NOON_MS / 1000 + 60

    for process in (world.moments, world.process(world.redis), world.process(redis_away)):
        assert await process.current("eu", NOON_MS + 60_000) == max(second, third, key=lambda one: one.id)


async def test_pages_of_moments_come_from_the_store_in_the_order_of_ids(world: World) -> None:
    """Of one region or all, of a time range, without cancelled ones; nothing twice, nothing left out."""
    made = [
        await world.moments.create(region, NOON_MS + day * DAY_MS, 120) for day in range(4) for region in ("eu", "us-e")
    ]
    await world.changes.change(made[0].id, cancelled=True)
    left = sorted(made[1:], key=lambda one: one.id)

    async def pages(region: str | None, since_ms: int = 0) -> list[Moment]:
        found: list[Moment] = []
        after: str | None = ""
        while after is not None:
            some, after = await world.moments.page(region, since_ms, NOON_MS + 9 * DAY_MS, after, 2)
            assert len(some) <= 2
            found += some
        return found

    assert await pages(None) == left
    assert await pages("us-e") == [one for one in left if one.region == "us-e"]
    assert await pages("us") == []
    assert await pages("eu", NOON_MS + 2 * DAY_MS) == [made[4], made[6]]
