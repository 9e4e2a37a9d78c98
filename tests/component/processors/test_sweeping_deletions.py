"""Deletions as the sweeper finds them: broken off, not told to the index, or so old that nothing is to be left."""

from typing import Any

import pytest

from storage import keys
from storage.records import OPEN_MS
from tests.component.processors.test_sweeper import FIRES_S, NOW_S, jobs_of, steps, sweeper
from tests.stores import put


async def test_what_a_broken_off_deletion_left_is_not_shown(world: Any) -> None:
    """Renditions whose pair is a tombstone end too; finished posts stay."""
    kept, deleted = [await world.post(user) for user in ("kept", "deleted")]
    for post_id in (kept, deleted):
        await world.jobs().render_pair(world.moment_id, post_id)
    left = await world.store.read(keys.media(world.moment_id, deleted))
    await world.delete("deleted")
    await put(world.store, keys.media(world.moment_id, deleted), left)

    swept = await sweeper(world).sweep(NOW_S)

    assert (swept.posts, swept.tidied, swept.lost) == (1, 1, 0)
    assert [await world.record(one) is not None for one in (kept, deleted)] == [True, False]
    assert await world.queued() == []
    assert (await sweeper(world).sweep(NOW_S)).tidied == 0


async def test_the_last_copy_of_a_lost_pair_is_kept_and_told(world: Any) -> None:
    """No deletion leaves renditions without an intake object: neither a sweep nor a job that is repeated ends them."""
    lost = await world.post()
    await world.jobs().render_pair(world.moment_id, lost)
    await world.store.delete(keys.intake(world.moment_id, lost))

    for _ in range(2):
        swept = await sweeper(world).sweep(NOW_S)
        assert (swept.posts, swept.tidied, swept.lost) == (0, 0, 1)
    assert await world.jobs().render_pair(world.moment_id, lost) == "deleted"

    assert await world.record(lost) is not None


async def test_a_deleted_post_is_not_unfinished_and_one_posted_again_is(world: Any) -> None:
    """A tombstone waits for no render; the pair that took its place does."""
    for user in ("gone", "again"):
        await world.jobs().render_pair(world.moment_id, await world.post(user))
        await world.delete(user)
    again = await world.post("again", told=False)

    swept = await sweeper(world).sweep(NOW_S)

    assert (swept.posts, swept.unfinished, swept.queued) == (1, 1, 2)
    assert await world.queued() == jobs_of(again)


async def test_an_index_restored_from_an_older_copy_learns_of_deletions(world: Any) -> None:
    """It shows a post that was deleted since, until the pass that restores it; a pair posted again stays known."""
    gone, again = await world.post("gone"), await world.post("again")
    copy = {key: await world.redis.dump(key) for key in await world.redis.keys("*")}
    for user in ("gone", "again"):
        await world.delete(user)
    await world.post("again")
    await world.redis.flushall()
    for key, value in copy.items():
        await world.redis.restore(key, 0, value)
    await world.redis.hdel(f"snapsurge:counts:{world.moment_id}", "complete")  # it is another run of Redis
    assert await world.indexed(gone) is not None

    await sweeper(world).sweep(NOW_S)

    assert await world.indexed(gone) is None
    assert (await world.indexed(again)).attempt == world.attempts[-1]
    assert await world.counted() == {"accepted": 1, "pending": 1}


async def test_a_deletion_that_the_index_refused_is_told_by_the_next_pass(world: Any) -> None:
    """Also while the counts are complete, and whether or not its user asks again; a pair posted again stays known."""
    for user in ("gone", "again"):
        post_id = await world.post(user)
        await world.existence.end(world.moment_id, post_id, world.attempt())  # the index was not told
    again = await world.post("again")
    await world.index.counts_are_complete(world.moment_id)
    assert (await world.counted())["accepted"] == 2

    swept = await sweeper(world).sweep(NOW_S)

    assert (swept.posts, swept.recounted) == (1, 0)
    assert await world.counted() == {"accepted": 1, "pending": 1}
    assert (await world.indexed(again)).attempt == world.attempts[-1]


@pytest.mark.parametrize(("after_s", "left"), [(-1, 6), (1, 2)])
async def test_tombstones_stay_until_nothing_can_be_posted_any_more(world: Any, after_s: int, left: int) -> None:
    """Of a pair that was rendered, one that was not, and one that is kept: two objects each, then the last alone."""
    for user in ("rendered", "early", "kept"):
        post_id = await world.post(user)
        if user != "early":
            await world.jobs().render_pair(world.moment_id, post_id)
        if user != "kept":
            await world.delete(user)

    await steps(sweeper(world), FIRES_S + OPEN_MS / 1000 + after_s)

    objects = [entry.key async for entry in world.store.list("") if world.moment_id in entry.key]
    assert len(objects) == left + 1  # and the moment
