"""Posts that are ready before their `full` renditions: what they lack, how it comes, and that it never goes again."""

from typing import Any

from msgspec import structs

from processors.render.images import render
from storage import keys
from storage.records import UNTIMED, Post
from tests.component.processors.conftest import photo
from tests.stores import put


def untimed(post: Post) -> Post:
    """A record without its times, which each render has of its own."""
    return structs.replace(post, times=UNTIMED)


def test_without_full_the_others_are_the_same() -> None:
    """What is left out is `full` alone, so that the rest need not change when it comes."""
    front, back = photo("teal"), photo("navy")
    whole, rest = render(front, back), render(front, back, full=False)

    assert rest.images == tuple(one for one in whole.images if not one.name.endswith("-full"))
    assert (len(rest.images), rest.thumbhash) == (5, whole.thumbhash)


async def test_a_pair_that_waited_long_is_ready_without_full(world: Any) -> None:
    """The post is ready and says that it is incomplete, a job for the rest is queued, and that job makes it whole."""
    post_id = await world.post()
    key = keys.media(world.moment_id, post_id)
    jobs = world.jobs()

    assert await jobs.render_pair(world.moment_id, post_id, full=False) == "ready"
    incomplete = await world.record(post_id)
    assert incomplete.complete is False
    assert set(incomplete.renditions) == {"front-thumb", "front-feed", "back-thumb", "back-feed", "composite"}
    assert await world.queued() == [f"complete_media:{post_id}"]
    assert await jobs.complete_media(world.moment_id, post_id) == "ready"
    whole = await world.record(post_id)

    known = await world.indexed(post_id)
    assert untimed(known) == untimed(whole)
    assert whole.complete
    # The post was ready before: the record that is complete keeps when and by whom.
    assert known.times == whole.times
    assert (whole.times.run, whole.times.ready_ms is not None) == (1, True)
    assert structs.replace(whole.times, ready_ms=None) == incomplete.times
    assert {name: whole.renditions[name] for name in incomplete.renditions} == incomplete.renditions
    await world.store.delete(key)
    await jobs.render_pair(world.moment_id, post_id)
    assert untimed(await world.record(post_id)) == untimed(whole)
    assert await world.counted() == {"accepted": 1, "on_time": 1, "ready": 1}


async def test_full_is_never_taken_away(world: Any) -> None:
    """A worker that comes late with an incomplete object leaves the whole one, and the index knows that one."""
    post_id = await world.post()
    await world.jobs().render_pair(world.moment_id, post_id)
    whole = await world.record(post_id)

    assert await world.jobs().render_pair(world.moment_id, post_id, full=False) == "ready"

    assert await world.record(post_id) == whole
    assert untimed(await world.indexed(post_id)) == untimed(whole)
    assert await world.queued() == []


async def test_an_incomplete_object_is_told_again_by_the_next_try(world: Any) -> None:
    """A worker that died between its PUT and the queue: the next one finds the object and queues the rest."""
    post_id = await world.post()
    await world.jobs().render_pair(world.moment_id, post_id, full=False)
    await world.redis.flushall()

    await world.jobs().render_pair(world.moment_id, post_id, full=False)

    assert await world.queued() == [f"complete_media:{post_id}"]
    assert (await world.indexed(post_id)).complete is False


async def test_an_earlier_posts_object_is_replaced(world: Any) -> None:
    """Deleted and posted again while the old media object was still there: the new photos win."""
    post_id = await world.post()
    key = keys.media(world.moment_id, post_id)
    await world.jobs().render_pair(world.moment_id, post_id)
    left = await world.store.read(key)
    await world.delete()
    await world.post()
    await put(world.store, key, left)

    assert await world.jobs().render_pair(world.moment_id, post_id, full=False) == "ready"

    record = await world.record(post_id)
    assert (record.attempt, record.complete) == (world.attempts[-1], False)


async def test_a_deleted_post_is_not_completed(world: Any) -> None:
    """Neither one that is gone before, nor one that is deleted during the render."""
    post_id = await world.post()
    await world.jobs().render_pair(world.moment_id, post_id, full=False)
    assert await world.jobs(store=world.busy(world.delete)).complete_media(world.moment_id, post_id) == "deleted"
    assert await world.record(post_id) is None
    assert await world.jobs().complete_media(world.moment_id, post_id) == "deleted"
    assert await world.record(post_id) is None


async def test_a_rejected_post_lacks_nothing(world: Any) -> None:
    """However long it waited."""
    post_id = await world.post(front=b"\xff\xd8\xff\xe0 not much of a photo")

    assert await world.jobs().render_pair(world.moment_id, post_id, full=False) == "rejected"
    assert (await world.record(post_id)).complete
    assert await world.queued() == []
