"""The account of a real store and Redis, equal to what was done."""

from typing import Any

from msgspec import structs

from processors.accounting.command import differing
from processors.accounting.reading import Reader
from processors.letters import DeadLetter, DeadLetters
from storage.account_objects import Accounts
from storage.keys import post_id
from storage.records import from_ms
from storage.tallies import Tally, tell
from tests.component.processors.conftest import FIRES_MS

NOW_MS = FIRES_MS + 200_000


def reader(world: Any) -> Reader:
    """Of the world's store and Redis."""
    return Reader(world.store, world.redis, {"": world.redis})


async def played(world: Any) -> None:
    """Five users: ready, late, rejected, deleted, pending; and one who was refused and never came back."""
    jobs = world.jobs()
    for user, after_ms, front in (("ann", 1, None), ("bob", 120_001, None), ("cid", 2, b"no photo")):
        await jobs.render_pair(world.moment_id, await world.post(user, after_ms=after_ms, front=front))
    await world.post("dan")
    await world.delete("dan")
    await world.post("eve")
    refused = {post_id(world.moment_id, user)[:26]: FIRES_MS + 5 for user in ("ann", "dan", "fay")}
    await tell(world.redis, world.moment_id, "a:1", Tally("a", {"created": 5, "overloaded": 2}, 1, 9), refused)


async def test_the_account_counts_every_post_once(any_world: Any) -> None:
    """On each kind of store."""
    await played(any_world)

    found = await reader(any_world).account(any_world.moment_id, now_ms=NOW_MS)

    assert (found.accepted, found.on_time, found.late, found.deleted, found.pending) == (4, 3, 1, 1, 1)
    assert (found.ready, sum(found.rejected.values()), found.settled) == (2, 1, False)
    assert (found.offered, found.refused.came_back, found.refused.not_back_in_time) == (5, 1, 1)
    assert (found.refused.pairs, found.refused.deleted) == (3, 1)
    assert (found.budget.moments, found.budget.pairs, found.budget.failed) == (1, 4, 1)
    assert found.ready_ms.count == 3


async def test_the_store_alone_gives_the_same_account(world: Any) -> None:
    """With no index, and with a Redis that lost everything, but for what the stored one lends."""
    await played(world)
    await world.jobs().render_pair(world.moment_id, post_id(world.moment_id, "eve"))
    first = await reader(world).account(world.moment_id, now_ms=NOW_MS)
    await Accounts(world.store).put(first, None)

    whole = await reader(world).account(world.moment_id, now_ms=NOW_MS, stored=first, store_alone=True)
    await world.redis.flushall()
    lost = await reader(world).account(world.moment_id, now_ms=NOW_MS, stored=first)
    alone = await reader(world).account(world.moment_id, now_ms=NOW_MS)

    assert differing(whole, first) == []
    assert differing(lost, first) == []
    assert (alone.accepted, alone.rendered_ms, alone.ready_ms.count) == (4, first.rendered_ms, 0)
    assert (alone.tries, alone.offered) == ({}, 4)


async def test_the_budget_looks_back(world: Any) -> None:
    """Over the accounts of the region's earlier moments."""
    await played(world)
    earlier = await world.moments.create("eu-west", FIRES_MS - 24 * 3600 * 1000, 120)
    account = await reader(world).account(earlier.id, now_ms=NOW_MS)
    await Accounts(world.store).put(structs.replace(account, on_time=10), None)

    found = await reader(world).account(world.moment_id, now_ms=NOW_MS)

    assert (found.budget.moments, found.budget.pairs) == (2, 14)


async def test_dead_letters_are_the_moments_own(world: Any) -> None:
    """By reason."""
    for number, moment in enumerate((world.moment_id, world.moment_id, "another")):
        letter = DeadLetter(
            id=f"{number}", name="render_pair", args=(moment, "p"), error="", tries=5, at=from_ms(1), reason="poison"
        )
        await DeadLetters(world.redis).keep(letter)

    found = await reader(world).account(world.moment_id, now_ms=NOW_MS)

    assert (found.failures.dead_letters, found.kept) == ({"poison": 2}, False)
