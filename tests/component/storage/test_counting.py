"""Counts of two sets of shards on a real Redis: who knows another set adds nothing, and spoils no count."""

from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from storage.index import Counts, Index
from storage.records import Post
from tests.unit.storage.conftest import MOMENT_ID

Make = Callable[..., Post]


@pytest.fixture
def old(redis: Redis) -> Index:
    """The index of a process that knows the former set."""
    return Index(redis, "old")


@pytest.fixture
def new(redis: Redis) -> Index:
    """The index of a process that knows the new set."""
    return Index(redis, "new")


async def test_a_new_moment_is_of_the_set_that_made_it(old: Index, new: Index, make_post: Make) -> None:
    """Its counts are complete for that set alone."""
    await old.counts_are_complete(MOMENT_ID)
    await old.observe([make_post()])

    assert await old.counts(MOMENT_ID) == Counts(accepted=1, pending=1)
    assert await new.counts(MOMENT_ID) is None
    assert await new.uncounted([MOMENT_ID]) == [MOMENT_ID]


async def test_another_set_counts_nothing_new_and_voids_the_mark(old: Index, new: Index, make_post: Make) -> None:
    """The post may be counted on another shard; it is found here all the same, and a recount has it once."""
    await new.counts_are_complete(MOMENT_ID)
    await new.observe([make_post(user="ann")])

    assert await old.observe([make_post(user="bob")]) == ["new"]
    assert await new.counts(MOMENT_ID) is None
    assert [post and post.user_id for post in await new.posts([make_post(user="bob").id])] == ["bob"]
    generation = await new.recount(MOMENT_ID)
    await new.observe([make_post(user="ann"), make_post(user="bob")])
    await new.counts_are_complete(MOMENT_ID, generation)
    assert await new.counts(MOMENT_ID) == Counts(accepted=2, pending=2)


async def test_another_set_updates_what_is_counted(old: Index, new: Index, make_post: Make) -> None:
    """A worker that was started before the change finishes a post: the counts stay the sum of the entries."""
    await new.counts_are_complete(MOMENT_ID)
    await new.observe([make_post()])
    await old.observe([make_post("ready")])

    assert await new.counts(MOMENT_ID) == Counts(accepted=1, on_time=1, ready=1)


async def test_a_deletion_by_another_set_is_counted(old: Index, new: Index, make_post: Make) -> None:
    """It subtracts an entry that is counted, and none that is not."""
    await new.counts_are_complete(MOMENT_ID)
    await new.observe([make_post(user="ann")])
    await old.observe([make_post(user="bob")])
    for user in ("ann", "bob"):
        await old.forget(make_post(user=user).id, MOMENT_ID, "f" * 32)

    await new.counts_are_complete(MOMENT_ID)
    assert await new.counts(MOMENT_ID) == Counts()


async def test_a_recount_of_another_set_begins_anew(old: Index, new: Index, make_post: Make) -> None:
    """It does not join the one in progress, whose posts may have other homes now."""
    first = await old.recount(MOMENT_ID)
    await old.observe([make_post()])
    second = await new.recount(MOMENT_ID)

    assert first != second
    assert await new.recount(MOMENT_ID) == second
    await new.counts_are_complete(MOMENT_ID, second)
    assert await new.counts(MOMENT_ID) == Counts()
    await old.counts_are_complete(MOMENT_ID, first)
    assert await old.counts(MOMENT_ID) is None


async def test_voided_counts_are_recounted(new: Index, make_post: Make) -> None:
    """Counts of a shard that comes back after it was removed lack what was posted meanwhile."""
    await new.counts_are_complete(MOMENT_ID)
    await new.observe([make_post()])
    await new.void_counts([MOMENT_ID, "another"])

    assert await new.counts(MOMENT_ID) is None
    assert await new.uncounted([MOMENT_ID]) == [MOMENT_ID]
