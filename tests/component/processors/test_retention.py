"""What was kept long enough goes, not a day earlier, and nothing that is still needed goes with it."""

from typing import Any

import pytest
from redis.asyncio import Redis

from processors.retention import Removed, Retention
from storage import intake, keys
from storage.files import FileStore
from storage.moments import DAY_MS, Moments, NoSuchMoment
from storage.posts import NoSuchPost
from storage.tombstones import SIZE
from tests.component.processors.conftest import FIRES_MS
from tests.component.processors.verifying.pairs import finish as made
from tests.component.processors.verifying.test_verifier import verified
from tests.stores import put, taken

DAY_S = DAY_MS / 1000
# The day of the moment, and two more: a changed moment fires up to a day after the day in its id.
OVER_S = FIRES_MS / 1000 + 2 * DAY_S


def retention(world: Any, *, intake_days: int = 0, moment_days: int = 0, redis: Redis | None = None) -> Retention:
    """The retention of the world's store."""
    redis = redis or world.redis
    return Retention(world.store, redis, intake_days=intake_days, moment_days=moment_days, shards={"": redis})


async def steps(kept: Retention, now_s: float, most: int = 100) -> Removed:
    """All steps that are due, in one."""
    met = Removed()
    for _ in range(most):
        step = await kept.step(now_s)
        if step is None:
            break
        met = Removed(met.looked + step.looked, met.pairs + step.pairs, met.objects + step.objects, step.ended)
    return met


async def finish(world: Any, user: str) -> str:
    """A post that is ready."""
    post_id: str = await world.post(user)
    await world.jobs().render_pair(world.moment_id, post_id)
    return post_id


async def is_bare(world: Any, post_id: str) -> bool:
    """Whether the photos are gone and the receipt is there."""
    return intake.is_bare(await world.store.read(keys.intake(world.moment_id, post_id)))


async def test_photos_go_after_their_days_and_posts_stay_on_each_store(any_world: Any) -> None:
    """Not a second before; once; the record is as before."""
    ready = await finish(any_world, "ann")
    before = await any_world.posts.stored(any_world.moment_id, ready)
    kept = retention(any_world, intake_days=3)

    assert await steps(kept, OVER_S + 3 * DAY_S - 1) == Removed()
    assert not await is_bare(any_world, ready)
    later_s = OVER_S + 3 * DAY_S + 600
    assert await steps(kept, later_s) == Removed(looked=1, pairs=1, ended=any_world.moment_id)
    assert await is_bare(any_world, ready)
    assert await any_world.posts.stored(any_world.moment_id, ready) == before
    assert await steps(kept, later_s + 1200) == Removed()
    assert await steps(retention(any_world, intake_days=3), later_s) == Removed()


async def test_a_pair_that_is_still_needed_stays(world: Any) -> None:
    """Never rendered, without `full`, or with damaged renditions; a day later, when finished, their photos go."""
    waiting, ready = await world.post("ann"), await finish(world, "ben")
    incomplete = await world.post("cem")
    await world.jobs().render_pair(world.moment_id, incomplete, full=False)
    kept, now_s = retention(world, intake_days=3), OVER_S + 3 * DAY_S

    spoilt = await finish(world, "dan")
    key = keys.media(world.moment_id, spoilt)
    body = await world.store.read(key)
    await put(world.store, key, body[:200] + bytes([body[200] ^ 1]) + body[201:])

    assert (await steps(kept, now_s)).pairs == 1
    assert [await is_bare(world, one) for one in (waiting, ready, incomplete, spoilt)] == [False, True, False, False]

    await world.jobs().render_pair(world.moment_id, waiting)
    await world.jobs().complete_media(world.moment_id, incomplete)
    assert await steps(kept, now_s + DAY_S - 1) == Removed()
    assert (await steps(kept, now_s + DAY_S + 600)).pairs == 2  # a new plan is made every ten minutes
    assert await is_bare(world, waiting)
    assert await is_bare(world, incomplete)


async def test_deletions_after_the_sweeps_leave_nothing(world: Any) -> None:
    """Tombstones of a moment that accepts no more posts are removed."""
    post_id = await finish(world, "ann")
    await world.delete("ann")

    await steps(retention(world, intake_days=3), OVER_S + 3 * DAY_S)

    assert not await taken(world.store, keys.intake(world.moment_id, post_id))
    assert not await taken(world.store, keys.media(world.moment_id, post_id))


async def test_a_moment_goes_with_all_of_its_posts(world: Any) -> None:
    """Objects, index entries and counts; another moment's stay."""
    ids = [await finish(world, "ann"), await world.post("ben")]
    other = await world.moments.create("us", FIRES_MS + 5 * DAY_MS, 120)
    kept, now_s = retention(world, intake_days=3, moment_days=8), OVER_S + 8 * DAY_S

    assert await steps(kept, now_s - 1) == Removed(looked=2, pairs=1, ended=world.moment_id)
    assert (await steps(kept, now_s + 600)).objects == 3

    assert (await anext(aiter(world.store.list("moments/")))).key == keys.moment(other.id)
    for post_id in ids:
        assert not await taken(world.store, keys.media(world.moment_id, post_id))
        assert not await taken(world.store, keys.intake(world.moment_id, post_id))
        with pytest.raises(NoSuchPost):
            await world.posts.get(post_id)
    assert await world.redis.hkeys(keys.RETENTION_KEY) == [f"photos:{other.id}".encode()]
    assert not await world.redis.exists(keys.COUNTS_KEY + world.moment_id, keys.MOMENT_KEY + world.moment_id)
    with pytest.raises(NoSuchMoment):
        await retention(world)._moments.get(world.moment_id)


@pytest.mark.parametrize("loses_redis", [False, True])
async def test_another_autoscaler_goes_on(world: Any, monkeypatch: pytest.MonkeyPatch, *, loses_redis: bool) -> None:
    """From the object where the first one stopped; without its progress from the beginning, without harm."""
    monkeypatch.setattr("processors.retention.BATCH", 2)
    monkeypatch.setattr("storage.keys.SPREADS", ("00",))
    receipts = [world.receipt(f"user {number}") for number in range(5)]
    ids = [f"aa{letter}{one.id[3:]}" for letter, one in zip("abcde", receipts, strict=True)]
    for post_id in ids:
        await world.store.create(f"00/media/{world.moment_id}/{post_id}.zip", b"x")
        await world.store.create(f"00/intake/{world.moment_id}/{post_id}.zip", b"x" * (SIZE + 1))
    now_s = OVER_S + 8 * DAY_S
    first = await retention(world, moment_days=8).step(now_s)
    assert first == Removed(looked=2, objects=2)
    if loses_redis:
        await world.redis.flushall()

    assert await steps(retention(world, moment_days=8), now_s) == Removed(8, 0, 8, world.moment_id)
    assert [one async for one in world.store.list("00/")] == []


async def test_photos_go_on_behind_the_last_one(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs that stay are passed by, not begun with again."""
    monkeypatch.setattr("processors.retention.BATCH", 1)
    for user in ("ann", "ben", "cem"):
        await world.post(user)
    ready = await finish(world, "dan")

    met = await steps(retention(world, intake_days=3), OVER_S + 3 * DAY_S)

    assert (met.looked, met.pairs, met.ended) == (4, 1, world.moment_id)
    assert await is_bare(world, ready)


@pytest.mark.parametrize(("from_s", "works"), [(-601, True), (-600, False), (0, False), (720, False), (721, True)])
async def test_nothing_is_removed_around_a_moment(world: Any, from_s: float, *, works: bool) -> None:
    """From ten minutes before it until ten minutes after its window: the store is the moment's."""
    await finish(world, "ann")
    now_s = OVER_S + 3 * DAY_S
    await world.moments.create("us", int((now_s - from_s) * 1000), 120)

    assert (await retention(world, intake_days=3).step(now_s) is not None) == works


async def test_a_damaged_pair_is_told_and_stays(world: Any, caplog: pytest.LogCaptureFixture) -> None:
    """It ends nothing."""
    post_id = await world.post("ann")
    await world.store.delete(keys.intake(world.moment_id, post_id))
    await world.store.create(keys.intake(world.moment_id, post_id), b"damaged" * 100)
    ready = await finish(world, "ben")

    await steps(retention(world, intake_days=3), OVER_S + 3 * DAY_S)

    assert await is_bare(world, ready)
    assert await taken(world.store, keys.intake(world.moment_id, post_id))
    assert "is damaged and stays" in caplog.text


class Verifying(FileStore):
    """A store in which a moment is verified, with repairs, while it has renditions whose pair was just removed."""

    world: Any

    async def delete(self, key: str) -> None:
        """The pair first."""
        if "/media/" in key:
            await super().delete(key.replace("/media/", "/intake/"))
            self.found = await verified(self.world, repairs=True)
        await super().delete(key)


async def test_a_verification_restores_nothing_of_a_moment_that_is_removed(world: Any) -> None:
    """A post that it made of the renditions would stay for ever, because nothing lists it any more."""
    await made(world, "ann")
    async with Verifying(world.store.root) as store:
        store.world = world
        kept = Retention(store, world.redis, intake_days=0, moment_days=8, shards={"": world.redis})

        await steps(kept, OVER_S + 8 * DAY_S)

    assert [(one.kind, one.repaired) for one in store.found.findings if one.kind != "index"] == [("lost", False)]
    assert [entry async for entry in world.store.list("")] == []


async def test_of_a_moment_that_is_being_removed_nobody_sees_a_part(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no more, for every process, before the first of its posts goes; it is removed to the end."""
    monkeypatch.setattr("processors.retention.BATCH", 1)
    for user in ("ann", "ben"):
        await finish(world, user)
    kept = retention(world, moment_days=8)

    assert (await kept.step(OVER_S + 8 * DAY_S)).objects < 4

    with pytest.raises(NoSuchMoment):
        await Moments(world.store, world.index).get(world.moment_id)
    await steps(kept, OVER_S + 8 * DAY_S)
    assert [entry async for entry in world.store.list("")] == []


async def test_without_days_nothing_is_ever_asked(world: Any, absent_redis: Redis) -> None:
    """0 days: forever."""
    assert await retention(world, redis=absent_redis).step(OVER_S + 9999 * DAY_S) is None
