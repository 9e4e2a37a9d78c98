"""Proofs on a real Redis: they show that a report's knowledge is younger than what Redis can have lost."""

from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from storage.index import Counts, Index, Report
from storage.index_scripts import FRESH_MS
from storage.keys import LIFE_KEY
from storage.records import Post
from tests.reports import observed
from tests.unit.storage.conftest import MOMENT_ID

Make = Callable[..., Post]
DELETION = "f" * 32


@pytest.fixture
def index(redis: Redis) -> Index:
    """The index of an empty Redis."""
    return Index(redis)


def older(proof: str, by_ms: int) -> str:
    """The proof of that many ms before."""
    life, _, at_ms = proof.rpartition("@")
    return f"{life}@{int(at_ms) - by_ms}"


@pytest.mark.parametrize("proof", ["", "x", "@", "@1", "1.1:f@", "1.1:f@x"])
async def test_without_a_proof_nothing_is_created(proof: str, index: Index, redis: Redis, make_post: Make) -> None:
    """No entry, no count; a post that the index has needs none."""
    await index.counts_are_complete(MOMENT_ID)
    assert await index.observe([Report(make_post(), proof)]) == ["unproven"]
    assert await redis.keys("*") == [b"snapsurge:counts:" + MOMENT_ID.encode()]
    assert await index.counts(MOMENT_ID) == Counts()

    assert await observed(index, [make_post()]) == ["new"]
    assert await index.observe([Report(make_post("ready"), proof)]) == ["known"]
    assert await index.counts(MOMENT_ID) == Counts(accepted=1, ready=1, on_time=1)


async def test_each_report_of_a_call_has_its_own_proof(index: Index, make_post: Make) -> None:
    """One that comes too late spoils no other."""
    await index.counts_are_complete(MOMENT_ID)
    ann, bob = make_post(user="ann"), make_post(user="bob")
    assert await index.observe([Report(ann), Report(bob, await index.proof())]) == ["unproven", "new"]
    assert await index.counts(MOMENT_ID) == Counts(accepted=1, pending=1)


async def test_a_proof_is_good_for_seconds(index: Index, make_post: Make) -> None:
    """Of Redis' clock: then this Redis may have evicted a younger deletion. One of the future proves nothing."""
    proof = await index.proof()
    for by_ms, answer in (
        (FRESH_MS + 1, "unproven"),
        (10**15, "unproven"),
        (-(10**7), "unproven"),
        (FRESH_MS // 2, "new"),
    ):
        assert await index.observe([Report(make_post(), older(proof, by_ms))]) == [answer]


@pytest.mark.parametrize("lost", ["all", "the life alone", "its type", "the server"])
async def test_a_report_of_before_a_loss_creates_nothing(
    lost: str, index: Index, redis: Redis, make_post: Make
) -> None:
    """The deletion is lost too, or may be; another proof is good again."""
    proof = await index.proof()
    await index.forget(make_post().id, MOMENT_ID, DELETION)
    assert await index.observe([Report(make_post(), proof)]) == ["deleted"]
    await redis.flushall()
    if lost == "the life alone":
        await index.proof()
    elif lost == "its type":
        await redis.sadd(LIFE_KEY, "x")
    elif lost == "the server":  # its data were restored
        life, server = (await index.proof()).partition("@")[0].split(":")
        proof = proof.replace(proof.partition(":")[0], life).replace(server, "0" * len(server))

    assert await index.observe([Report(make_post(), proof)]) == ["unproven"]
    assert await index.posts([make_post().id]) == [None]
    assert await index.observe([Report(make_post(), await index.proof())]) == ["new"]


async def test_a_proof_of_another_redis_is_void(
    index: Index, redis_server: Callable[[], object], make_post: Make
) -> None:
    """A shard may have lost what another one has."""
    with redis_server() as url:  # type: ignore[attr-defined]
        async with Redis.from_url(url) as other:
            proof = await Index(other).proof()
    await index.proof()
    assert await index.observe([Report(make_post(), proof)]) == ["unproven"]


async def test_a_life_lasts(index: Index, redis: Redis) -> None:
    """All processes are told the same, whatever else changes; it does not expire."""
    first, _, began = (await index.proof()).rpartition("@")
    await redis.set("x", "y")
    again, _, later = (await Index(redis, "another epoch").proof()).rpartition("@")
    assert again == first
    assert int(later) >= int(began)
    assert await redis.ttl(LIFE_KEY) == -1


async def test_an_unproven_report_leaves_the_entry_of_an_older_attempt(index: Index, make_post: Make) -> None:
    """Nothing is written; the job of the younger attempt replaces it."""
    await index.counts_are_complete(MOMENT_ID)
    await observed(index, [make_post(attempt="a1")])
    assert await index.observe([Report(make_post(attempt="a2"))]) == ["unproven"]
    assert await index.posts([make_post().id]) == [make_post(attempt="a1")]
    assert await observed(index, [make_post(attempt="a2")]) == ["new"]
    assert await index.counts(MOMENT_ID) == Counts(accepted=1, pending=1)
