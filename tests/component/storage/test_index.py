"""The index on a real Redis: exact counts whatever is told how often in which order, tombstones, generations."""

import asyncio
import itertools
import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs
from redis.asyncio import Redis
from redis.exceptions import RedisError

from storage.index import LISTED_DUE_S, LISTED_TTL_S, Counts, Index
from storage.index_scripts import COUNTS_TTL_S, POST_TTL_S
from storage.records import Moment, Post, flagged, from_ms
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


async def test_what_was_observed_is_read_back(index: Index, make_post: MakePost) -> None:
    """Entries in the order asked, None for what is not there."""
    ann, bob = make_post(user="ann"), make_post("ready", user="bob")

    assert await observed(index, [ann, bob]) == ["new", "new"]
    assert await observed(index, [ann, bob]) == ["known", "known"]
    assert await index.posts([bob.id, make_post(user="eve").id, ann.id]) == [bob, None, ann]
    assert await index.states([bob.id, make_post(user="eve").id, ann.id]) == ["ready", None, "accepted"]


@pytest.mark.parametrize("end", ["ready", "rejected"])
@pytest.mark.parametrize(("late_by_ms", "flag"), [(0, "on_time"), (1, "late")])
async def test_counts_are_exact_in_every_order(
    end: str, late_by_ms: int, flag: str, index: Index, redis: Redis, make_post: MakePost
) -> None:
    """Accepted, flagged and finished, each told twice, in all orders: one post, one end, one flag."""
    told = [
        make_post(late_by_ms=late_by_ms),
        make_post(late=True, late_by_ms=late_by_ms),
        make_post(end, late_by_ms=late_by_ms),
    ]
    expected = Counts(**{"accepted": 1, end: 1, flag: 1, "pending": 0})
    for order in set(itertools.permutations([0, 0, 1, 1, 2, 2])):
        await redis.flushall()
        for number in order:
            await observed(index, [told[number]])

        assert await counted(index) == expected, order
        assert await index.posts([told[2].id]) == [told[2]], order


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**32))
async def test_counts_are_the_sum_of_the_entries(seed: int, index: Index, redis: Redis, make_post: MakePost) -> None:
    """Random tellings, deletions, posts anew and recounts: the counts are always those of the entries there are."""
    rng = random.Random(seed)
    await redis.flushall()
    users = ["ann", "bob", "eve"]
    generation = ""
    for _ in range(30):
        attempt, late_by_ms = rng.choice([("a1", -1), ("a2", 1), ("a3", 0)])  # an attempt is always as late as it was
        fields = {"user": rng.choice(users), "late_by_ms": late_by_ms, "attempt": attempt}
        post = make_post(rng.choice(["accepted", "ready", "rejected"]), late=rng.random() < 0.5 or None, **fields)
        if rng.random() < 0.2:
            await index.forget(post.id, post.moment_id, f"{attempt}de".ljust(32, "0"))
        else:
            await observed(index, [post])
        if rng.random() < 0.05:
            generation = await index.recount(MOMENT_ID)
            await observed(index, [one for one in await entries(index, users, make_post) if one])
    found = [one for one in await entries(index, users, make_post) if one]
    await index.counts_are_complete(MOMENT_ID, generation)
    counts = await index.counts(MOMENT_ID)

    assert counts is not None
    assert counts.accepted == len(found)
    assert counts.ready == sum(post.state == "ready" for post in found)
    assert counts.rejected == sum(post.state == "rejected" for post in found)
    assert counts.late == sum(post.late is True for post in found)
    assert counts.on_time == sum(post.late is False for post in found)
    assert counts.pending == sum(post.state == "accepted" for post in found)


async def entries(index: Index, users: Sequence[str], make_post: MakePost) -> list[Post | None]:
    """What the index has of these users."""
    return await index.posts([make_post(user=user).id for user in users])


async def test_many_tell_at_once(index: Index, make_post: MakePost) -> None:
    """A hundred posts told by eight writers at the same time are a hundred."""
    posts = [make_post("ready", user=f"user {number}") for number in range(100)]
    answers = await asyncio.gather(*(observed(index, posts) for _ in range(8)))

    assert sorted(itertools.chain(*answers)) == ["known"] * 700 + ["new"] * 100
    assert await counted(index) == Counts(accepted=100, ready=100, on_time=100)


async def test_a_flag_is_seen_at_once(index: Index, make_post: MakePost) -> None:
    """A post that waits for its renditions already says whether it is late."""
    await observed(index, [make_post(late_by_ms=5)])
    await observed(index, [make_post(late_by_ms=5, late=True)])
    await observed(index, [make_post(late_by_ms=5)])
    (found,) = await index.posts([make_post().id])

    assert found is not None
    assert (found.state, found.late, found.late_by_ms) == ("accepted", True, 5)


async def test_a_deleted_post_stays_deleted(index: Index, make_post: MakePost) -> None:
    """A render that was under way is told so, and changes nothing."""
    await observed(index, [make_post(late=True)])
    await index.forget(make_post().id, MOMENT_ID, "a1de".ljust(32, "0"))

    assert await observed(index, [make_post("ready")]) == ["deleted"]
    assert await index.posts([make_post().id]) == [None]
    assert await counted(index) == Counts()


@pytest.mark.parametrize("state", ["accepted", "ready", "rejected"])
async def test_forgetting_takes_out_what_was_counted(state: str, index: Index, make_post: MakePost) -> None:
    """Whatever state the post had, and once only."""
    await observed(index, [make_post(state, late=True), make_post(state, late=True, user="bob", late_by_ms=1)])
    before = await counted(index)
    await index.forget(make_post(user="bob").id, MOMENT_ID, "a1de".ljust(32, "0"))
    await index.forget(make_post(user="bob").id, MOMENT_ID, "a1de".ljust(32, "0"))
    after = await counted(index)

    assert before is not None
    assert after is not None
    assert (before.accepted, before.late, before.on_time) == (2, 1, 1)
    assert (after.accepted, after.late, after.on_time) == (1, 0, 1)


async def test_an_incomplete_record_never_replaces_a_whole_one(index: Index, make_post: MakePost) -> None:
    """Whichever comes last: the whole record stays, and nothing is counted twice."""
    whole = flagged(structs.replace(make_post(), state="ready"), -1)
    incomplete = structs.replace(whole, complete=False)
    for told, known in ((incomplete, incomplete), (whole, whole), (incomplete, whole)):
        await observed(index, [told])
        assert await index.posts([whole.id]) == [known]

    counts = await index.counts(whole.moment_id)
    assert counts is None or counts.ready == 1


async def test_counts_are_unknown_until_complete(index: Index, redis: Redis, make_post: MakePost) -> None:
    """None at first, numbers once somebody saw everything, None again when Redis lost them."""
    await observed(index, [make_post()])
    assert await index.counts(MOMENT_ID) is None
    await index.counts_are_complete(MOMENT_ID)
    assert await index.counts(MOMENT_ID) == Counts(accepted=1, pending=1)
    await redis.flushall()
    assert await index.counts(MOMENT_ID) is None


async def test_counts_of_an_earlier_run_of_redis_are_not_complete(
    index: Index, redis: Redis, make_post: MakePost
) -> None:
    """It was restarted, so its last second may be lost: unknown until somebody saw everything again."""
    await observed(index, [make_post()])
    await index.counts_are_complete(MOMENT_ID)
    await redis.hset(f"snapsurge:counts:{MOMENT_ID}", "complete", "0" * 40)

    assert await index.counts(MOMENT_ID) is None
    assert await counted(index) == Counts(accepted=1, pending=1)


async def test_a_recount_starts_from_nothing(index: Index, redis: Redis, make_post: MakePost) -> None:
    """Entries expired while the counts of them stayed: counted anew, no post counts twice."""
    posts = [make_post("ready", user=user) for user in ("ann", "bob")]
    await observed(index, posts)
    await redis.delete(f"snapsurge:post:{posts[0].id}")
    generation = await index.recount(MOMENT_ID)
    await observed(index, posts)
    await index.counts_are_complete(MOMENT_ID, generation)

    assert await index.counts(MOMENT_ID) == Counts(accepted=2, ready=2, on_time=2)


async def test_a_recount_that_lost_its_beginning_is_not_complete(
    index: Index, redis: Redis, make_post: MakePost
) -> None:
    """Redis was emptied in the middle: what was counted before is gone, so nobody is told that it is all."""
    generation = await index.recount(MOMENT_ID)
    await observed(index, [make_post(user="ann")])
    await redis.flushall()
    await observed(index, [make_post(user="bob")])
    await index.counts_are_complete(MOMENT_ID, generation)

    assert await index.counts(MOMENT_ID) is None


async def test_recounts_at_once_are_one(index: Index, make_post: MakePost) -> None:
    """The second joins the first, and whoever is done first may say so."""
    generation = await index.recount(MOMENT_ID)
    await observed(index, [make_post()])
    assert await index.recount(MOMENT_ID) == generation
    await observed(index, [make_post()])
    await index.counts_are_complete(MOMENT_ID, generation)

    assert await index.counts(MOMENT_ID) == Counts(accepted=1, pending=1)


async def test_what_waits_lives_as_long_as_its_counts(index: Index, redis: Redis, make_post: MakePost) -> None:
    """An entry without flag or renditions must not expire, or it would be counted again when they come."""
    key = f"snapsurge:post:{make_post().id}"
    await observed(index, [make_post()])
    assert POST_TTL_S < await redis.ttl(key) <= COUNTS_TTL_S
    await observed(index, [make_post("ready")])
    assert 0 < await redis.ttl(key) <= POST_TTL_S


def moment(name: str, fires_at_ms: int, region: str = "eu") -> Moment:
    """A moment of a region."""
    closes_at = from_ms(fires_at_ms + 120_000)
    return Moment(id=name, region=region, fires_at=from_ms(fires_at_ms), closes_at=closes_at, window_s=120)


async def test_moments_are_listed_only_where_all_are_known(index: Index) -> None:
    """None, not a part: the index of a Redis that was emptied knows some moments and not others."""
    now_ms = 1_769_860_800_000
    first, second = moment("one", now_ms - 1000), moment("two", now_ms - 10)
    await index.put_moments([first])

    assert await index.moment_ids(0, now_ms) == (None, True)
    assert await index.current_moment_id("eu", now_ms) == ("one", False)

    since_ms, until_ms = now_ms - 100_000_000, now_ms + 100
    await index.put_moments([second], listed=(since_ms, until_ms))
    assert await index.moment_ids(now_ms - 500, now_ms) == (["two"], False)
    assert await index.moment_ids(since_ms, until_ms) == (["one", "two"], False)
    assert await index.moment_ids(since_ms - 1, until_ms) == (None, False)
    assert await index.moment_ids(since_ms, until_ms + 1) == (None, False)
    assert await index.current_moment_id("eu", now_ms) == ("two", True)
    assert await index.current_moment_id("eu", now_ms - 11) == ("one", True)
    assert await index.current_moment_id("eu", until_ms + 1) == ("two", False)
    assert await index.current_moment_id("us", now_ms) == (None, True)
    assert await index.moments(["one", "none", "two"]) == [first, None, second]


@pytest.mark.parametrize(("left_s", "due"), [(LISTED_TTL_S, False), (LISTED_DUE_S - 1, True), (659, True)])
async def test_a_listing_is_due_before_it_ends(index: Index, redis: Redis, left_s: int, *, due: bool) -> None:
    """Also one that has longer to go than it had at first: the clock was set back."""
    await index.put_moments([], listed=(0, 9_000_000_000_000))
    await redis.expire("snapsurge:moments-listed", left_s)

    assert await index.moment_ids(0, 1) == ([], due)
    assert await index.current_moment_id("eu", 100_000_000) == (None, left_s <= LISTED_TTL_S)


async def test_an_index_that_is_away_says_so(redis_away: Redis, make_post: MakePost) -> None:
    """Every caller knows RedisError, and what to do without the index."""
    index = Index(redis_away)

    for call in (observed(index, [make_post()]), index.posts(["x"]), index.counts("m"), index.moment("m")):
        with pytest.raises(RedisError):
            await call


async def test_moments_without_complete_counts_are_named(redis: Redis) -> None:
    """One answer for many moments: those that were never counted."""
    index = Index(redis)
    await index.counts_are_complete("counted")

    assert await index.uncounted(["new", "counted", "other"]) == ["new", "other"]
    assert await index.uncounted([]) == []
