"""Pairs of which the store has nothing any more are named by the index, and no repair removes what tells of them."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from processors.verifying.verifier import Verifier
from storage import keys
from storage.existence import NoSuchPost
from storage.index import Counts
from storage.rights import COMMANDS, rule
from storage.zips import Damaged
from tests.component.processors.verifying.pairs import finish, receive
from tests.component.processors.verifying.test_verifier import spoil, told, verified
from tests.stores import put


async def lose(world: Any, post_id: str) -> str:
    """Remove both objects of a post behind the back of every program; the key of its pair."""
    await world.store.delete(keys.intake(world.moment_id, post_id))
    await world.store.delete(keys.media(world.moment_id, post_id))
    return keys.intake(world.moment_id, post_id)


async def test_a_pair_lost_with_its_renditions_is_named_for_as_long_as_it_is_lost(world: Any) -> None:
    """Also after repairs and recounts, which keep its entry; it counts as accepted, because it was."""
    lost, waiting = await finish(world, "ann"), await receive(world, "ben")
    await finish(world, "cem")
    both = sorted([await lose(world, lost.id), await lose(world, waiting.id)])

    for repairs in (False, True, True, False):
        found = await verified(world, repairs=repairs)
        assert sorted(told(found)) == [("lost", key, False) for key in both]
        assert (found.ok, found.posts, found.lost_pairs, found.index.accepted) == (False, 1, 2, 3)
    assert any(lost.id in one.detail and "ready" in one.detail for one in found.findings)
    assert (await world.posts.get(lost.id)).state == "ready"

    await world.index.void_counts([world.moment_id])
    assert await world.posts.counts(world.moment_id) == Counts(accepted=1, on_time=1, ready=1)
    found = await verified(world, repairs=True)
    assert sorted(told(found)) == [("lost", key, False) for key in both]
    (kept,) = await world.index.posts([lost.id])
    assert kept.state == "ready"
    with pytest.raises(NoSuchPost):  # the recount did not find it: it may as well have been deleted
        await world.posts.get(lost.id)


async def test_a_repair_keeps_what_names_a_lost_pair(world: Any) -> None:
    """As long as counts are kept; entries of finished posts would expire before."""
    lost = await finish(world, "ann")
    await lose(world, lost.id)
    before_s = await world.redis.ttl(keys.POST_KEY + lost.id)

    await verified(world)
    assert await world.redis.ttl(keys.POST_KEY + lost.id) <= before_s
    await verified(world, repairs=True)

    assert await world.redis.ttl(keys.POST_KEY + lost.id) > before_s


async def test_a_lost_pair_that_is_sent_again_is_lost_no_more(world: Any) -> None:
    """The phone may still have it."""
    lost = await finish(world, "ann")
    await lose(world, lost.id)
    assert not (await verified(world)).ok

    await finish(world, "ann")

    found = await verified(world)
    assert (found.findings, found.index) == ([], found.store)


async def test_unreadable_objects_hide_no_lost_pair(world: Any) -> None:
    """Junk under the key of a post that nobody sent makes the numbers of store and Redis equal."""
    lost = await finish(world, "ann")
    key = await lose(world, lost.id)
    junk = keys.intake(world.moment_id, keys.post_id(world.moment_id, "nobody"))
    await world.store.create(junk, b"junk" * 200)

    for repairs in (False, True, False):
        assert sorted(told(await verified(world, repairs=repairs))) == sorted(
            [("damaged", junk, False), ("lost", key, False)]
        )


async def test_a_damaged_pair_is_one_finding_and_goes_on_counting(world: Any) -> None:
    """Whether Redis counted it or not; what it counts wrong is still found, and mended."""
    damaged = await finish(world, "ann")
    await finish(world, "ben")
    key, counts = keys.intake(world.moment_id, damaged.id), keys.COUNTS_KEY + world.moment_id
    await put(world.store, key, (await world.store.read(key))[:-40])
    with pytest.raises(Damaged):
        await world.posts.stored(world.moment_id, damaged.id)

    assert told(await verified(world)) == [("damaged", key, False)]
    for by in (1, -2):
        await world.redis.hincrby(counts, "accepted", by)
        assert told(await verified(world, repairs=True)) == [("damaged", key, False), ("index", counts, True)]
        assert (await world.index.counts(world.moment_id)).accepted == 2
        assert told(await verified(world)) == [("damaged", key, False)]
    assert await world.posts.counts(world.moment_id) == Counts(accepted=2, on_time=2, ready=2)


async def test_a_lost_pair_and_a_damaged_one_give_no_alarm_about_counts(world: Any) -> None:
    """The numbers differ for reasons that are findings by themselves."""
    lost, damaged = await finish(world, "ann"), await finish(world, "ben")
    await finish(world, "cem")
    key, other = await lose(world, lost.id), keys.intake(world.moment_id, damaged.id)
    await spoil(world, other)

    for repairs in (False, True, False):
        assert sorted(told(await verified(world, repairs=repairs))) == sorted(
            [("damaged", other, False), ("lost", key, False)]
        )


async def test_counts_are_kept_where_they_alone_may_tell_of_a_loss(world: Any) -> None:
    """Entries have expired: the counts say how many are lost, and a recount would make them silent."""
    lost, other = await finish(world, "ann"), await finish(world, "ben")
    await lose(world, lost.id)
    await world.index.drop([lost.id, other.id])
    key = keys.COUNTS_KEY + world.moment_id

    for repairs in (False, True, False):
        found = await verified(world, repairs=repairs)
        assert told(found) == [("lost", key, False)]
        assert "1 pair" in found.findings[0].detail
        assert (await world.index.counts(world.moment_id)).accepted == 2


async def test_a_deletion_after_the_entry_expired_is_no_loss(world: Any) -> None:
    """Redis goes on counting such a post; its tombstone tells why."""
    gone, other = await finish(world, "ann"), await finish(world, "ben")
    await world.index.drop([gone.id, other.id])
    await world.delete("ann")

    key = keys.COUNTS_KEY + world.moment_id
    assert told(await verified(world, repairs=True)) == [("index", key, True)]
    assert (await world.index.counts(world.moment_id)).accepted == 1


async def test_what_is_deleted_or_on_its_way_is_not_lost(world: Any) -> None:
    """An entry whose deletion Redis knows, and one of another moment whose id ends alike."""
    gone = await finish(world, "ann")
    await world.redis.set(keys.DELETION_KEY + gone.id, world.attempt())
    await lose(world, gone.id)
    await world.redis.hset(f"{keys.POST_KEY}{'a' * 26}-x-{world.moment_id}", "j", "{}")

    assert [one for one in told(await verified(world)) if one[0] == "lost"] == []


async def test_a_user_who_may_not_scan_is_told_at_once(
    world: Any, redis_server: Callable[[], AbstractContextManager[str]]
) -> None:
    """Nodes need no SCAN, so it is asked for here; and it is in the documented rule."""
    with redis_server() as url:
        async with Redis.from_url(url) as ops, Redis.from_url(url.replace("://", "://app:x@")) as redis:
            for commands, may in ((COMMANDS, False), (None, True)):
                rules = rule(commands) if commands else rule()
                await ops.execute_command("ACL", "SETUSER", "app", "reset", "on", ">x", *rules.split())
                verifier = Verifier(world.store, redis, {"": redis}, repairs=False, again_s=0.01)
                if may:
                    assert (await verifier.moment(world.moment_id)).ok
                else:
                    with pytest.raises(NoPermissionError, match="scan"):
                        await verifier.moment(world.moment_id)
