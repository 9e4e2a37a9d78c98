"""The sweeper: what it queues, what it leaves alone, what it tidies, how often it looks."""

from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from processors.letters import DeadLetter, DeadLetters
from processors.sweeper import REST_MAX_S, Sweeper, Swept, due, rest_s
from storage import keys
from storage.records import ACCEPTING_MS, Moment, from_ms

FIRES_S = 1_767_225_600.0
NOW_S = FIRES_S + 60


def sweeper(world: Any) -> Sweeper:
    """A sweeper of the world's store and Redis."""
    return Sweeper(world.store, world.redis, every_s=15)


def jobs_of(*post_ids: str) -> list[str]:
    """The ids of both jobs of each, sorted."""
    return sorted(f"{name}:{one}" for one in post_ids for name in ("flag_late", "render_pair"))


def moment(name: str, age_s: float) -> Moment:
    """A moment that fired so long ago."""
    fires_ms = int((NOW_S - age_s) * 1000)
    return Moment(id=name, region="eu", fires_at=from_ms(fires_ms), closes_at=from_ms(fires_ms + 120_000), window_s=120)


async def test_an_emptied_redis_is_rebuilt_from_the_store(world: Any) -> None:
    """After FLUSHALL every unfinished post is queued again, and no finished one."""
    finished = [await world.post(f"ready {number}") for number in range(3)]
    for post_id in finished:
        await world.jobs().render_pair(world.moment_id, post_id)
    waiting = [await world.post(f"waiting {number}") for number in range(20)]
    await world.enqueue(*waiting)
    await world.redis.flushall()

    swept = await sweeper(world).sweep(NOW_S)

    assert swept == Swept(moments=1, posts=23, unfinished=20, queued=40)
    assert await world.queued() == jobs_of(*waiting)


async def test_the_life_of_a_pair_on_each_store(any_world: Any) -> None:
    """Accepted and forgotten, swept, rendered, and swept again with nothing to do: on files and on MinIO."""
    post_id = await any_world.post(told=False)
    assert (await sweeper(any_world).sweep(NOW_S)).queued == 2
    assert await any_world.jobs().render_pair(any_world.moment_id, post_id) == "ready"
    await any_world.redis.flushall()

    assert await sweeper(any_world).sweep(NOW_S) == Swept(moments=1, posts=1)
    assert (await any_world.record(post_id)).late is False


async def test_what_is_queued_is_not_queued_twice(world: Any) -> None:
    """A sweep while everything is on its way changes nothing."""
    post_id = await world.post()
    await world.enqueue(post_id)

    swept = await sweeper(world).sweep(NOW_S)

    assert (swept.unfinished, swept.queued) == (1, 0)
    assert await world.queued() == jobs_of(post_id)


async def test_a_flagged_post_needs_only_its_render(world: Any) -> None:
    """The cheap job is not repeated at every sweep of a long backlog."""
    post_id = await world.post()
    await world.jobs().flag_late(world.moment_id, post_id)

    await sweeper(world).sweep(NOW_S)

    assert await world.queued() == [f"render_pair:{post_id}"]


async def test_the_dead_are_left_alone(world: Any) -> None:
    """A job that was given up waits for ops, not for the next sweep."""
    post_id = await world.post()
    letter = DeadLetter(id=f"render_pair:{post_id}", name="render_pair", args=(), error="E", tries=5, at=from_ms(0))
    await DeadLetters(world.redis).keep(letter)

    await sweeper(world).sweep(NOW_S)

    assert await world.queued() == [f"flag_late:{post_id}"]


async def test_the_leftover_of_a_deleted_post_is_removed(world: Any) -> None:
    """A media object whose intake object is gone goes too; finished posts stay."""
    kept, deleted = await world.post("kept"), await world.post("deleted")
    for post_id in (kept, deleted):
        await world.jobs().render_pair(world.moment_id, post_id)
    await world.store.delete(keys.intake(world.moment_id, deleted))

    swept = await sweeper(world).sweep(NOW_S)

    assert swept.tidied == 1
    assert await world.record(deleted) is None
    assert await world.record(kept) is not None
    assert await world.queued() == []


async def test_a_large_moment_is_queued_in_batches(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """More posts of one spread than a batch holds are all queued."""
    monkeypatch.setattr("processors.sweeper.BATCH", 2)
    monkeypatch.setattr("storage.keys.SPREADS", ("00",))
    receipt = world.receipt("alice")
    ids = [f"aa{letter}{receipt.id[3:]}" for letter in "abcdefg"]
    for post_id in ids:
        await world.store.create(f"00/intake/{world.moment_id}/{post_id}.zip", b"unread")

    swept = await sweeper(world).sweep(NOW_S)

    assert swept.queued == 14
    assert await world.queued() == jobs_of(*ids)


async def test_a_moment_rests_between_sweeps_until_redis_is_another(world: Any) -> None:
    """A second sweep looks at nothing; an emptied Redis makes everything due at once."""
    post_id = await world.post()
    swept = sweeper(world)
    assert (await swept.sweep(NOW_S)).moments == 1
    assert (await swept.sweep(NOW_S + 1)).moments == 0
    assert (await swept.sweep(NOW_S + 16)).moments == 1

    await world.redis.flushall()

    assert (await swept.sweep(NOW_S + 17)).moments == 1
    assert await world.queued() == jobs_of(post_id)


async def test_without_redis_nothing_is_swept(world: Any, absent_redis: Redis) -> None:
    """The caller learns of it and puts the sweep off."""
    with pytest.raises(RedisError):
        await Sweeper(world.store, absent_redis, every_s=15).sweep(NOW_S)


def test_the_older_a_moment_the_longer_it_rests() -> None:
    """Between the setting and five minutes."""
    assert rest_s(30, 15) == 15
    assert rest_s(1200, 15) == 60
    assert rest_s(24 * 3600, 15) == REST_MAX_S
    assert rest_s(24 * 3600, 1000) == 1000


def test_only_moments_that_accept_posts_are_due() -> None:
    """Not one to come, not one of the day before, and none that was swept just now."""
    day_s = ACCEPTING_MS / 1000
    moments = [moment("to-come", -5), moment("open", 5), moment("late", day_s), moment("over", day_s + 7200)]

    assert due(moments, {}, NOW_S, 15) == ["open", "late"]
    assert due(moments, {"open": NOW_S - 14, "late": NOW_S - REST_MAX_S}, NOW_S, 15) == ["late"]


def test_a_sweep_says_what_it_did() -> None:
    """One line for a person; sums are by field."""
    swept = Swept(moments=1, posts=2, unfinished=1, queued=2) + Swept(moments=1, posts=5, tidied=1)

    assert msgspec.structs.astuple(swept) == (2, 7, 1, 2, 1)
    assert str(swept) == "2 moments, 7 posts, 1 unfinished: 2 jobs queued, 1 leftovers of deleted posts removed"
