"""The counts of moments in the leader's metrics, from a real index."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

import processors.scaling.moment_counts as module
from processors.election import Election
from processors.metrics import ScalerMetrics
from processors.scaling.moment_counts import counting
from storage.index import Index
from storage.keys import COUNTS_KEY


async def shown(world: Any, index: Index, *, elected: bool) -> ScalerMetrics:
    """The metrics after some rounds."""
    metrics, election = ScalerMetrics(), Election(world.redis, "me", term_s=5)
    election.elected = elected
    metrics.elected.set(elected)
    moment = await world.moments.get(world.moment_id)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(counting(lambda: [moment], index, election, metrics))
        while elected and not metrics.moments:  # noqa: ASYNC110 - metrics have no event
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
    return metrics


async def test_the_leader_shows_what_the_index_counts(world: Any) -> None:
    """To the post; nobody else does."""
    await world.post("alice")
    await world.post("bob", after_ms=121_000)
    metrics = await shown(world, world.index, elected=True)
    value = metrics.registry.get_sample_value

    for state, count in (("accepted", 2), ("pending", 2), ("ready", 0)):
        assert value("snapsurge_moment_posts", {"moment": world.moment_id, "state": state}) == count
    assert (await shown(world, world.index, elected=False)).moments == ()


async def test_counts_that_are_not_known_are_not_shown(
    world: Any, absent_redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither those of before an outage, nor those that lost a part: a low count would look like a loss.

    And what a Redis that did not answer has is not called incomplete: `watch` told of a loss at each such answer.
    """
    monkeypatch.setattr(module, "EVERY_S", 0.0)
    await world.post("alice")
    await world.index.void_counts([world.moment_id])

    for index, complete in ((world.index, 0), (Index(absent_redis), None)):
        metrics = await shown(world, index, elected=True)
        value = metrics.registry.get_sample_value
        assert value("snapsurge_moment_counts_complete", {"moment": world.moment_id}) == complete
        assert value("snapsurge_moment_posts", {"moment": world.moment_id, "state": "accepted"}) is None
        assert value("snapsurge_moment_fires_timestamp_seconds", {"moment": world.moment_id, "region": "eu-west"})


async def test_counts_that_are_no_numbers_end_nothing(world: Any) -> None:
    """Somebody wrote into Redis: the leader goes on, without these counts."""
    await world.post("alice")
    await world.redis.hset(COUNTS_KEY + world.moment_id, "accepted", "many")

    metrics = await shown(world, world.index, elected=True)
    assert metrics.registry.get_sample_value("snapsurge_moment_counts_complete", {"moment": world.moment_id}) == 0


async def test_who_leads_again_does_not_begin_with_what_was(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The counts of days ago would be shown until the first new ones are there."""
    monkeypatch.setattr(module, "EVERY_S", 0.0)
    metrics, election = ScalerMetrics(), Election(world.redis, "me", term_s=5)
    election.elected = True
    moment = await world.moments.get(world.moment_id)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(counting(lambda: [moment], world.index, election, metrics))
        while not metrics.moments:  # noqa: ASYNC110 - metrics have no event
            await asyncio.sleep(0)
        election.elected = False
        while metrics.moments:  # noqa: ASYNC110 - metrics have no event
            await asyncio.sleep(0)
        task.cancel()
