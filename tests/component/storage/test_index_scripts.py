"""Counts of two sets of shards on a real Redis: who knows another set adds nothing, and spoils no count."""

from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from storage.index import Counts, Index
from storage.records import Post
from tests.reports import observed
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
    await observed(old, [make_post()])

    assert await old.counts(MOMENT_ID) == Counts(accepted=1, pending=1)
    assert await new.counts(MOMENT_ID) is None
    assert await new.uncounted([MOMENT_ID]) == [MOMENT_ID]


async def test_another_set_counts_nothing_new_and_voids_the_mark(old: Index, new: Index, make_post: Make) -> None:
    """The post may be counted on another shard; it is found here all the same, and a recount has it once."""
    await new.counts_are_complete(MOMENT_ID)
    await observed(new, [make_post(user="ann")])

    assert await observed(old, [make_post(user="bob")]) == ["new"]
    assert await new.counts(MOMENT_ID) is None
    assert [post and post.user_id for post in await new.posts([make_post(user="bob").id])] == ["bob"]
    generation = await new.recount(MOMENT_ID)
    await observed(new, [make_post(user="ann"), make_post(user="bob")])
    await new.counts_are_complete(MOMENT_ID, generation)
    assert await new.counts(MOMENT_ID) == Counts(accepted=2, pending=2)


async def test_another_set_updates_what_is_counted(old: Index, new: Index, make_post: Make) -> None:
    """A worker that was started before the change finishes a post: the counts stay the sum of the entries."""
    await new.counts_are_complete(MOMENT_ID)
    await observed(new, [make_post()])
    await observed(old, [make_post("ready")])

    assert await new.counts(MOMENT_ID) == Counts(accepted=1, on_time=1, ready=1)


async def test_a_deletion_by_another_set_is_counted(old: Index, new: Index, make_post: Make) -> None:
    """It subtracts an entry that is counted, and none that is not."""
    await new.counts_are_complete(MOMENT_ID)
    await observed(new, [make_post(user="ann")])
    await observed(old, [make_post(user="bob")])
    for user in ("ann", "bob"):
        await old.forget(make_post(user=user).id, MOMENT_ID, "f" * 32)

    await new.counts_are_complete(MOMENT_ID)
    assert await new.counts(MOMENT_ID) == Counts()


async def test_a_recount_of_another_set_begins_anew(old: Index, new: Index, make_post: Make) -> None:
    """It does not join the one in progress, whose posts may have other homes now."""
    first = await old.recount(MOMENT_ID)
    await observed(old, [make_post()])
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
    await observed(new, [make_post()])
    await new.void_counts([MOMENT_ID, "another"])

    assert await new.counts(MOMENT_ID) is None
    assert await new.uncounted([MOMENT_ID]) == [MOMENT_ID]


@pytest.mark.parametrize("field", ["s", "l", "a", "g"])
@pytest.mark.parametrize("rubbish", ["\xff", "zzz", "1e300"])
async def test_an_entry_that_nobody_writes_does_not_survive_a_deletion(
    redis: Redis, make_post: Make, field: str, rubbish: str
) -> None:
    """Else the record of a deleted post were shown after the 204; and its moment is counted again."""
    index, post = Index(redis), make_post("ready")
    await index.counts_are_complete(MOMENT_ID)
    await observed(index, [post, make_post(user="bob")])
    await redis.hset(f"snapsurge:post:{post.id}", field, rubbish)

    await index.forget(post.id, MOMENT_ID, "f" * 32)

    assert await index.posts([post.id]) == [None]
    assert await observed(index, [post]) == ["deleted"]
    assert await index.counts(MOMENT_ID) is None


@pytest.mark.parametrize("field", ["s", "l", "a", "g"])
async def test_an_entry_that_nobody_writes_gives_way(redis: Redis, make_post: Make, field: str) -> None:
    """To the next report of its post; its moment is counted again, as nobody knows how the entry was counted."""
    index, post = Index(redis), make_post("ready")
    await index.counts_are_complete(MOMENT_ID)
    await observed(index, [post])
    await redis.hset(f"snapsurge:post:{post.id}", field, "zzz")

    assert await observed(index, [post]) == ["new"]
    assert await index.counts(MOMENT_ID) is None
    generation = await index.recount(MOMENT_ID)
    await observed(index, [post])
    await index.counts_are_complete(MOMENT_ID, generation)
    assert await index.counts(MOMENT_ID) == Counts(accepted=1, on_time=1, ready=1)


@pytest.mark.parametrize("rubbish", ["\xff", "zzz", "1e300", ""])
async def test_a_deletion_that_nobody_writes_hides_no_post(redis: Redis, make_post: Make, rubbish: str) -> None:
    """And the next deletion is kept."""
    index, post = Index(redis), make_post("ready")
    await redis.set(f"snapsurge:deletion:{post.id}", rubbish)
    assert await index.deletion(post.id) == ""
    assert await observed(index, [post]) == ["new"]
    await redis.set(f"snapsurge:deletion:{post.id}", rubbish)
    await index.forget(post.id, MOMENT_ID, "f" * 32)
    assert await index.deletion(post.id) == "f" * 32


@pytest.mark.parametrize("field", ["accepted", "ready", "generation", "complete", "shards", "reign"])
async def test_counts_that_nobody_writes_are_not_shown(redis: Redis, make_post: Make, field: str) -> None:
    """Neither before nor after another report; a recount mends them."""
    index = Index(redis)
    await index.counts_are_complete(MOMENT_ID)
    await observed(index, [make_post("ready")])
    await redis.hset(f"snapsurge:counts:{MOMENT_ID}", field, "garbage")
    await observed(index, [make_post("ready", user="bob")])
    assert await index.counts(MOMENT_ID) in (None, Counts(accepted=2, on_time=2, ready=2))
    generation = await index.recount(MOMENT_ID)
    await observed(index, [make_post("ready"), make_post("ready", user="bob")])
    await index.counts_are_complete(MOMENT_ID, generation)
    assert await index.counts(MOMENT_ID) == Counts(accepted=2, on_time=2, ready=2)
