"""What cannot be read in the store: workers and sweeper go on around it, and write anew what they can."""

from typing import Any

from processors.sweeper import Sweeper
from storage import keys
from storage.moments import Moments
from tests.stores import put

NOW_S = 1_767_225_660.0  # a minute after the moment fired


async def test_one_damaged_object_stops_no_sweep(world: Any) -> None:
    """After Redis was emptied every other post is told to the index anew, and the moment's counts are complete."""
    posts = sorted([await world.post(f"user {number}", told=False) for number in range(3)])
    await put(world.store, keys.intake(world.moment_id, posts[0]), b"rubbish")
    for prefix in (keys.intake_prefix("a7", world.moment_id), f"a7/media/{world.moment_id}/"):
        await world.store.create(f"{prefix}READ ME.txt", b"somebody else's")
    await world.redis.flushall()
    sweeper = Sweeper(world.store, world.redis, every_s=15)

    swept = await sweeper.sweep(NOW_S)

    assert (swept.posts, swept.queued, swept.tidied, swept.recounted) == (3, 6, 0, 2)
    assert (await world.counted())["accepted"] == 2
    assert [(await world.indexed(post_id)) is not None for post_id in posts] == [False, True, True]


async def test_a_damaged_object_is_replaced(world: Any) -> None:
    """What cannot be read is no post's."""
    post_id = await world.post()
    await world.store.create(keys.media(world.moment_id, post_id), b"rubbish")

    assert await world.jobs().render_pair(world.moment_id, post_id, full=False) == "ready"

    assert (await world.record(post_id)).attempt == world.attempts[-1]


async def test_a_flag_needs_no_moment_that_can_be_read(world: Any) -> None:
    """The receipt says as much."""
    post_id = await world.post(after_ms=125_000)
    await put(world.store, keys.moment(world.moment_id), b"rubbish")
    await world.redis.delete(f"snapsurge:moment:{world.moment_id}")
    world.moments = Moments(world.store, world.index)

    await world.jobs().flag_late(world.moment_id, post_id)

    assert (await world.indexed(post_id)).late_by_ms == 5000
