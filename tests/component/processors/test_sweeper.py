"""The sweeper: what it queues, what it leaves alone, what it tidies, what it restores, how it goes on."""

from collections.abc import AsyncIterator, Collection, Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from processors.findings import Swept
from processors.letters import DeadLetter, DeadLetters
from processors.passes import Cursor, parse_cursor
from processors.sweeper import Sweeper
from storage import keys
from storage.blobs import Entry
from storage.files import FileStore
from storage.keys import CURSORS_KEY
from storage.records import from_ms

FIRES_S = 1_767_225_600.0
NOW_S = FIRES_S + 60


def sweeper(world: Any) -> Sweeper:
    """A sweeper of the world's store and Redis."""
    return Sweeper(world.store, world.redis, every_s=15)


async def cursors(world: Any) -> dict[str, Cursor | None]:
    """The cursors in Redis by age class."""
    return {name.decode(): parse_cursor(raw) for name, raw in (await world.redis.hgetall(CURSORS_KEY)).items()}


def jobs_of(*post_ids: str) -> list[str]:
    """The ids of both jobs of each, sorted."""
    return sorted(f"{name}:{one}" for one in post_ids for name in ("flag_late", "render_pair"))


async def test_an_emptied_redis_is_rebuilt_from_the_store(world: Any) -> None:
    """After FLUSHALL one sweep queues every unfinished post and no finished one, and restores index and counts."""
    finished = [await world.post(f"ready {number}") for number in range(3)]
    for post_id in finished:
        await world.jobs().render_pair(world.moment_id, post_id)
    waiting = [await world.post(f"waiting {number}") for number in range(20)]
    await world.enqueue(*waiting)
    await world.redis.flushall()

    swept = await sweeper(world).sweep(NOW_S)

    assert swept == Swept(moments=1, posts=23, unfinished=20, queued=40, recounted=23)
    assert await world.queued() == jobs_of(*waiting)
    assert await world.counted() == {"accepted": 23, "on_time": 3, "ready": 3, "pending": 20}
    assert [(await world.indexed(one)).state for one in (finished[0], waiting[0])] == ["ready", "accepted"]


async def test_the_life_of_a_pair_on_each_store(any_world: Any) -> None:
    """Accepted and forgotten, swept, rendered, and swept again with nothing to do: on files and on MinIO."""
    post_id = await any_world.post(told=False)
    assert (await sweeper(any_world).sweep(NOW_S)).queued == 2
    assert await any_world.jobs().render_pair(any_world.moment_id, post_id) == "ready"
    await any_world.redis.flushall()

    assert await sweeper(any_world).sweep(NOW_S) == Swept(moments=1, posts=1, recounted=1)
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


async def steps(swept: Sweeper, now_s: float) -> Swept:
    """All steps that are due, in one, up to the end of a pass."""
    met = Swept()
    while not met.moments and (step := await swept.step(now_s)) is not None:
        met += step
    return met


async def test_steps_fill_the_queue_first_and_the_index_after(world: Any) -> None:
    """After FLUSHALL the first pass is due at once and only queues; the next, evenly in time, tells of every post."""
    post_id = await world.post()
    await world.redis.flushall()
    swept = sweeper(world)

    assert await steps(swept, NOW_S) == Swept(moments=1, posts=1, unfinished=1, queued=2)
    assert await world.queued() == jobs_of(post_id)
    assert await world.counted() == {}
    second = [await steps(swept, NOW_S + seconds) for seconds in (0, 7, 15)]
    assert [one.moments for one in second] == [0, 0, 1]
    assert sum(second, Swept()) == Swept(moments=1, posts=1, unfinished=1, recounted=1)
    assert await world.counted() == {"accepted": 1, "pending": 1}
    third = [await steps(swept, NOW_S + seconds) for seconds in (16, 32)]
    assert [(one.moments, one.recounted) for one in third] == [(0, 0), (1, 0)]


async def test_a_pass_goes_evenly_through_its_time(world: Any) -> None:
    """A sixteenth of the spreads a second, not all of them at once."""
    swept = sweeper(world)
    await steps(swept, NOW_S)

    done = []
    for second in range(16):
        await steps(swept, NOW_S + 1 + second)
        done.append((await cursors(world))["0"].done)

    assert done == sorted(done)
    assert all(0 < after - before <= 32 for before, after in pairwise(done))
    assert done[-1] == 256


class Counting(FileStore):
    """Counts listings."""

    listings = 0

    async def list_in(self, prefix: str, parents: Sequence[str], folders: Collection[str]) -> AsyncIterator[Entry]:
        """As the folder's, counted."""
        self.listings += 1
        async for entry in super().list_in(prefix, parents, folders):
            yield entry


async def test_fifty_young_moments_cost_as_many_listings_as_one(world: Any) -> None:
    """One for each spread in a pass; and a lost job is found in whichever moment it is."""
    regions = [f"region-{number % 5}" for number in range(49)]
    made = [await world.moments.create(region, int(FIRES_S * 1000), 120) for region in regions]
    lost = [await world.post("alice", told=False), keys.post_id(made[-1].id, "bob")]
    await world.store.create(keys.intake(made[-1].id, lost[1]), b"unread")
    async with Counting(world.store.root) as store:
        swept = await steps(Sweeper(store, world.redis, every_s=15), NOW_S)

    assert store.listings == len(keys.SPREADS)
    assert (swept.moments, swept.posts, swept.queued) == (50, 2, 4)
    assert await world.queued() == jobs_of(*lost)


async def test_another_sweeper_goes_on_where_one_stopped(world: Any) -> None:
    """The cursor stands in Redis: no spread is listed twice in a pass, whoever does it."""
    posts = [await world.post(f"user {number}", told=False) for number in range(40)]
    first, second = sweeper(world), sweeper(world)
    early = await first.step(NOW_S)
    assert early is not None

    rest = await steps(second, NOW_S)

    assert (early + rest).posts == len(posts)
    assert early.posts + rest.posts > early.posts
    assert await world.queued() == jobs_of(*posts)


async def test_a_restarted_redis_is_swept_at_once(world: Any) -> None:
    """Cursors that were written to another run of Redis do not count: it may have lost its last second."""
    swept = sweeper(world)
    await steps(swept, NOW_S)
    await swept.step(NOW_S)
    assert await swept.step(NOW_S + 1 / 64) is None
    await world.redis.set("snapsurge:swept", "of another life")

    assert await swept.step(NOW_S + 1 / 64) is not None


async def test_a_sweep_by_hand_goes_on_where_it_was_broken_off(world: Any, absent_redis: Redis) -> None:
    """The spreads before the cursor are not listed again; the end forgets it."""
    await world.post("alice")
    await world.redis.hset("snapsurge:sweep-by-hand", world.moment_id, msgspec.json.encode(Cursor(256 - 16, 0.0)))
    swept = sweeper(world)
    late = [one for one in keys.SPREADS[-16:] if keys.spread(keys.post_id(world.moment_id, "alice")) == one]

    assert (await swept.moment(world.moment_id, NOW_S)).posts == len(late)
    assert (await swept.moment(world.moment_id, NOW_S)).posts == 1
    assert not await world.redis.exists("snapsurge:sweep-by-hand")


async def test_a_moment_that_is_over_is_swept_by_hand_alone(world: Any) -> None:
    """Three days later no step is due and its cursor is gone; by its id it is swept all the same."""
    post_id = await world.post(told=False)
    swept = sweeper(world)
    await swept.step(NOW_S)
    await world.moments.create("us-east", int((NOW_S + 3 * 86_400) * 1000), 120)

    assert (await steps(swept, NOW_S + 3 * 86_400 + 1)).posts == 0
    assert (await cursors(world)).keys() == {"0"}
    await world.redis.delete("arq:queue", *[f"arq:job:{one}" for one in jobs_of(post_id)])
    assert (await swept.moment(world.moment_id, NOW_S)).queued == 2


async def test_without_redis_nothing_is_swept(world: Any, absent_redis: Redis) -> None:
    """The caller learns of it and puts the sweep off."""
    for now_s in (NOW_S, FIRES_S - 60):  # with a moment to sweep, and with none
        with pytest.raises(RedisError):
            await Sweeper(world.store, absent_redis, every_s=15).sweep(now_s)


async def test_a_moment_to_come_is_not_swept(world: Any) -> None:
    """It has no posts."""
    assert (await sweeper(world).sweep(FIRES_S - 60)).moments == 0


def test_a_sweep_says_what_it_did() -> None:
    """One line for a person; sums are by field."""
    swept = Swept(moments=1, posts=2, unfinished=1, queued=2) + Swept(moments=1, posts=5, tidied=1, recounted=3)

    assert msgspec.structs.astuple(swept) == (2, 7, 1, 2, 1, 3, 0)
    assert str(swept) == (
        "2 moments, 7 posts, 1 unfinished: 2 jobs queued, 1 leftovers of deleted posts removed, "
        "3 posts reported to the index again, 0 posts with a lost pair"
    )


async def test_the_next_call_is_made_when_a_step_is_due(world: Any) -> None:
    """At once while a pass is behind, and else when the next spreads are due: not twice for one step."""
    swept = sweeper(world)
    await swept.step(NOW_S)
    assert swept.wait_s(NOW_S) == 0
    await steps(swept, NOW_S)
    await swept.step(NOW_S)

    assert swept.wait_s(NOW_S) == swept.pace_s == 15 / 16
    assert swept.wait_s(NOW_S + 15 / 32) == 15 / 32
    assert swept.wait_s(NOW_S + 15) == 0


async def test_it_says_how_late_it_is(world: Any) -> None:
    """The first pass as late as it lasts, then from the step that is due next on; nothing while no moment is swept."""
    swept = sweeper(world)
    assert swept.behind_s(NOW_S) == 0
    assert await swept.step(NOW_S)
    assert swept.behind_s(NOW_S + 2) == 2
    await steps(swept, NOW_S)
    assert await swept.step(NOW_S)
    due_s = NOW_S + 15 / 16

    assert swept.behind_s(due_s) == 0
    assert swept.behind_s(due_s + 90) == 90
    assert await swept.step(NOW_S + 4 * 24 * 3600) is None
    assert swept.behind_s(NOW_S + 4 * 24 * 3600) == 0


async def test_a_new_leader_is_late_too_while_its_first_step_fails(world: Any, absent_redis: Redis) -> None:
    """Else nobody hears of a sweeper that has done nothing since the leader changed."""
    swept = Sweeper(world.store, absent_redis, every_s=15)
    for after_s in (0, 60):
        with pytest.raises(RedisError):
            await swept.step(NOW_S + after_s)

    assert swept.behind_s(NOW_S + 150) == 150
