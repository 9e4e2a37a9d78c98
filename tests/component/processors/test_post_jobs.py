"""The two jobs: what they leave in store and index, and what they do when the world moves on under a render."""

from typing import Any

import pytest
from msgspec import structs
from redis.asyncio import Redis
from redis.exceptions import RedisError

from processors.post_jobs import Reposted
from processors.render.images import render
from processors.render.renderer import finished
from processors.runs import Run
from storage import intake, keys, zips
from storage.blobs import BlobMissing, StoreUnavailable
from storage.records import UNTIMED
from tests.stores import put


async def test_a_pair_becomes_ready_with_all_its_renditions(world: Any) -> None:
    """The media object holds seven renditions and the record, and the index knows the post as ready and on time."""
    post_id = await world.post()

    assert await world.jobs().render_pair(world.moment_id, post_id) == "ready"

    record = await world.record(post_id)
    assert record is not None
    assert record.state == "ready"
    assert (record.late, record.late_by_ms) == (False, -119_000)
    sizes = {"thumb", "feed", "full"}
    assert set(record.renditions) == {f"{side}-{size}" for side in ("front", "back") for size in sizes} | {"composite"}
    assert set(record.thumbhash) == {"front", "back"}
    for place in record.renditions.values():
        key = keys.media(world.moment_id, post_id)
        assert (await world.store.read_range(key, place.offset, place.bytes))[:2] == b"\xff\xd8"
    known = await world.indexed(post_id)
    assert structs.replace(known, times=record.times) == record
    assert await world.counted() == {"accepted": 1, "on_time": 1, "ready": 1}


async def test_a_photo_that_cannot_be_decoded_rejects_the_post(world: Any) -> None:
    """The record says why, and there are no renditions."""
    post_id = await world.post(front=b"\xff\xd8\xff\xe0 not much of a photo", after_ms=120_001)

    assert await world.jobs().render_pair(world.moment_id, post_id) == "rejected"

    record = await world.record(post_id)
    assert record is not None
    assert record.state == "rejected"
    assert record.reason
    assert record.renditions == {}
    assert record.late is True
    assert await world.counted() == {"accepted": 1, "late": 1, "rejected": 1}


async def test_twice_gives_the_same_bytes_and_one_record(world: Any) -> None:
    """A job that runs again changes nothing."""
    post_id = await world.post()
    key = keys.media(world.moment_id, post_id)
    await world.jobs().render_pair(world.moment_id, post_id)
    first = await world.store.read(key)

    await world.jobs().render_pair(world.moment_id, post_id)

    assert await world.store.read(key) == first
    assert await world.counted() == {"accepted": 1, "on_time": 1, "ready": 1}


async def test_a_post_costs_the_worker_one_get_and_one_put(world: Any) -> None:
    """Rendering and flagging need no third store request while Redis knows the post."""
    post_id = await world.post()
    async with world.counting() as store:
        jobs = world.jobs(store=store)

        await jobs.flag_late(world.moment_id, post_id)
        await jobs.render_pair(world.moment_id, post_id)

        assert store.requests == ["read", "create"]


async def test_a_deleted_post_leaves_nothing(world: Any) -> None:
    """A job that comes after a deletion which was broken off ends what it left to be seen."""
    post_id = await world.post()
    await world.jobs().render_pair(world.moment_id, post_id)
    left = await world.store.read(keys.media(world.moment_id, post_id))
    await world.delete()
    await put(world.store, keys.media(world.moment_id, post_id), left)

    assert await world.jobs().render_pair(world.moment_id, post_id) == "deleted"

    assert await world.record(post_id) is None


async def test_a_post_deleted_during_the_render_stays_deleted(world: Any) -> None:
    """The index tells the job, and its renditions are not shown."""
    post_id = await world.post()
    async with world.busy(world.delete) as store:
        assert await world.jobs(store=store).render_pair(world.moment_id, post_id) == "deleted"

    assert await world.record(post_id) is None
    assert await world.indexed(post_id) is None
    assert await world.counted() == {}


async def test_a_post_deleted_and_posted_again_is_rendered_again(world: Any) -> None:
    """The job does not leave the old pair's renditions under the new post."""

    async def delete_and_post() -> None:
        await world.delete()
        await world.post(after_ms=130_000)

    post_id = await world.post()
    async with world.busy(delete_and_post) as store:
        assert await world.jobs(store=store).render_pair(world.moment_id, post_id) == "ready"
        assert store.written == 2

    record = await world.record(post_id)
    assert record is not None
    assert (record.attempt, record.late) == (world.attempts[-1], True)
    assert await world.counted() == {"accepted": 1, "late": 1, "ready": 1}


async def test_endless_reposts_wait_for_the_next_try(world: Any) -> None:
    """A user who posts faster than we render does not hold the worker."""

    async def delete_and_post() -> None:
        await world.delete()
        await world.post()

    post_id = await world.post()
    async with world.busy(*[delete_and_post] * 9) as store:
        with pytest.raises(Reposted):
            await world.jobs(store=store).render_pair(world.moment_id, post_id)


async def test_an_index_that_missed_a_deletion_is_put_right(world: Any) -> None:
    """When the entry is of an older post than the store's, the store wins."""
    post_id = await world.post()
    await world.existence.end(world.moment_id, post_id, world.attempt())  # Redis was away: the index heard nothing
    await world.post(told=False)

    assert await world.jobs().render_pair(world.moment_id, post_id) == "ready"

    entry = await world.indexed(post_id)
    assert entry is not None
    assert entry.attempt == world.attempts[-1]
    assert await world.counted() == {"accepted": 1, "on_time": 1, "ready": 1}


async def test_a_redis_that_lost_its_data_learns_of_the_post(world: Any) -> None:
    """A post that the index does not know is ready all the same, because its intake object is there."""
    post_id = await world.post(told=False)

    assert await world.jobs().render_pair(world.moment_id, post_id) == "ready"

    known, record = await world.indexed(post_id), await world.record(post_id)
    assert structs.replace(known, times=record.times) == record


async def test_a_deletion_that_redis_lost_is_honoured(world: Any) -> None:
    """What Redis no longer knows the store tells: that the post was deleted during the render."""

    async def delete_and_flush() -> None:
        await world.delete()
        await world.redis.flushall()

    post_id = await world.post()
    async with world.busy(delete_and_flush) as store:
        assert await world.jobs(store=store).render_pair(world.moment_id, post_id) == "deleted"

    assert await world.record(post_id) is None
    assert await world.indexed(post_id) is None


async def test_with_redis_away_the_post_is_ready_and_the_index_told_later(world: Any, absent_redis: Redis) -> None:
    """The PUT makes it ready; the job is tried again only to tell the index."""
    post_id = await world.post()

    with pytest.raises(RedisError):
        await world.jobs(redis=absent_redis).render_pair(world.moment_id, post_id)

    record = await world.record(post_id)
    assert record is not None
    assert record.state == "ready"


async def test_with_redis_away_a_deletion_is_still_seen(world: Any, absent_redis: Redis) -> None:
    """The store alone tells that the post was deleted during the render."""
    post_id = await world.post()
    async with world.busy(world.delete) as store:
        jobs = world.jobs(store=store, redis=absent_redis)
        assert await jobs.render_pair(world.moment_id, post_id) == "deleted"

    assert await world.record(post_id) is None


async def test_a_damaged_intake_object_is_our_fault(world: Any) -> None:
    """It raises instead of rejecting the post: the user did nothing wrong."""
    receipt = world.receipt("alice")
    await world.store.create(keys.intake(world.moment_id, receipt.id), b"PK nothing")

    with pytest.raises(zips.Damaged):
        await world.jobs().render_pair(world.moment_id, receipt.id)
    assert await world.record(receipt.id) is None


async def test_running_out_of_memory_does_not_reject_the_post(world: Any) -> None:
    """A fault of ours while rendering is raised, and nothing is written."""

    def exhausted(_front: bytes, _back: bytes) -> Any:
        raise MemoryError

    post_id = await world.post()
    with pytest.raises(MemoryError):
        await world.jobs(renders=exhausted).render_pair(world.moment_id, post_id)
    assert await world.record(post_id) is None


@pytest.mark.parametrize(("after_ms", "late"), [(120_000, False), (120_001, True)])
async def test_lateness_is_a_matter_of_one_millisecond(world: Any, after_ms: int, *, late: bool) -> None:
    """`flag_late` writes the flag into index and counts; the last instant of the window is on time."""
    post_id = await world.post(after_ms=after_ms)

    await world.jobs().flag_late(world.moment_id, post_id)

    entry = await world.indexed(post_id)
    assert (entry.state, entry.late, entry.late_by_ms) == ("accepted", late, after_ms - 120_000)
    assert await world.counted() == {"accepted": 1, "late" if late else "on_time": 1, "pending": 1}


async def test_flagging_and_rendering_agree_in_any_order(world: Any) -> None:
    """The flag is counted once, whichever job comes first and however often."""
    jobs = world.jobs()
    for user, names in {"ann": ["flag_late", "render_pair"], "bob": ["render_pair", "flag_late", "flag_late"]}.items():
        post_id = await world.post(user)
        for name in names:
            await getattr(jobs, name)(world.moment_id, post_id)

    assert await world.counted() == {"accepted": 2, "on_time": 2, "ready": 2}


async def test_a_flag_without_an_index_entry_comes_from_the_receipt(world: Any) -> None:
    """Where Redis lost the post, the tail of its intake object decides."""
    post_id = await world.post(after_ms=125_000, told=False)

    await world.jobs().flag_late(world.moment_id, post_id)

    assert (await world.indexed(post_id)).late_by_ms == 5000


async def test_flagging_a_deleted_post_does_nothing(world: Any) -> None:
    """Neither entry nor counts come back."""
    post_id = await world.post()
    await world.delete()

    await world.jobs().flag_late(world.moment_id, post_id)

    assert await world.indexed(post_id) is None
    assert await world.counted() == {}


async def test_what_a_store_failure_leaves_is_nothing(world: Any) -> None:
    """When the PUT fails the job fails, and the index still says accepted."""

    async def unavailable() -> None:
        raise StoreUnavailable("full of holes")

    post_id = await world.post()
    async with world.busy(unavailable) as store:
        with pytest.raises(StoreUnavailable):
            await world.jobs(store=store).render_pair(world.moment_id, post_id)

    assert (await world.indexed(post_id)).state == "accepted"
    with pytest.raises(BlobMissing):
        await world.store.read(keys.media(world.moment_id, post_id))


async def test_the_result_follows_from_the_intake_object_alone(world: Any) -> None:
    """The pure part gives equal pictures for equal bytes; only when and by whom they were made differs."""
    post_id = await world.post()
    archive = await world.store.read(keys.intake(world.moment_id, post_id))

    pair = intake.unpack(archive)
    kept = Run(kept=UNTIMED)
    assert finished(pair, render, run=kept) == finished(pair, render, run=kept)
    assert finished(pair, render)[0].attempt == pair.receipt.attempt
