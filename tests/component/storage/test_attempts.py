"""The index when a post is deleted and posted again: attempts are ordered, and a late word undoes nothing."""

from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from storage.index import Counts, Index
from storage.records import Post
from tests.reports import observed

MOMENT_ID = "eu-20260131-abcdefgh"
MakePost = Callable[..., Post]


@pytest.fixture
def index(redis: Redis) -> Index:
    """The index of an empty Redis."""
    return Index(redis)


async def counted(index: Index) -> Counts | None:
    """The counts, declared complete."""
    await index.counts_are_complete(MOMENT_ID)
    return await index.counts(MOMENT_ID)


@pytest.mark.parametrize("late", ["accepted", "ready"])
async def test_word_of_an_earlier_attempt_undoes_nothing(late: str, index: Index, make_post: MakePost) -> None:
    """Posted, deleted and posted again: what a node or a worker still says of the first changes nothing."""
    first, second = make_post(attempt="a1"), make_post(attempt="a2")
    await observed(index, [first])
    await index.forget(first.id, MOMENT_ID, "a1de".ljust(32, "0"))

    assert await observed(index, [make_post(late, attempt="a1")]) == ["deleted"]
    assert await observed(index, [second]) == ["new"]
    assert await observed(index, [make_post(late, attempt="a1")]) == ["deleted"]
    await index.forget(first.id, MOMENT_ID, "a1de".ljust(32, "0"))  # sent again
    assert await index.posts([first.id]) == [second]
    assert await counted(index) == Counts(accepted=1, pending=1)


async def test_an_earlier_attempt_is_stale_where_its_deletion_was_lost(index: Index, make_post: MakePost) -> None:
    """Redis lost the deletion, but knows the younger attempt."""
    await observed(index, [make_post(attempt="a2")])

    assert await observed(index, [make_post("ready", attempt="a1")]) == ["stale"]
    assert await index.posts([make_post().id]) == [make_post(attempt="a2")]


async def test_an_earlier_deletion_does_not_take_the_place_of_a_later_one(index: Index, make_post: MakePost) -> None:
    """Deletions may be told in any order: the last one counts."""
    for deletion in ("a2de", "a1de".ljust(32, "0")):
        await index.forget(make_post().id, MOMENT_ID, deletion.ljust(32, "0"))

    assert await observed(index, [make_post(attempt="a2"), make_post(attempt="a3")]) == ["deleted", "new"]


async def test_a_post_anew_replaces_an_entry_that_outlived_its_post(index: Index, make_post: MakePost) -> None:
    """The old post was deleted while Redis was away: the younger attempt is the truth."""
    await observed(index, [make_post("ready", attempt="a1", late_by_ms=1)])

    assert await observed(index, [make_post(attempt="a2")]) == ["new"]
    assert await index.posts([make_post().id]) == [make_post(attempt="a2")]
    assert await counted(index) == Counts(accepted=1, pending=1)


async def test_records_of_before_attempts_had_ids_are_older_than_any(index: Index, make_post: MakePost) -> None:
    """They are known as they were, and give way."""
    assert await observed(index, [make_post(attempt="")]) == ["new"]
    assert await observed(index, [make_post("ready", attempt="")]) == ["known"]
    assert await observed(index, [make_post(attempt="a1")]) == ["new"]
