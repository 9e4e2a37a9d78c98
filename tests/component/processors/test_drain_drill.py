"""The drill of a drain, as the bench starts it; and what a pair of a backlog costs Redis, counted in commands."""

import time
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from processors import drain_drill
from processors.drill import Report
from storage.queue.jobs import Queue

COMMANDS_MAX = 20


async def test_a_drained_pair_costs_few_commands(
    redis: Redis, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flag and render, claims and settlements, index and counts, pulses: those inside of scripts are counted too."""
    monkeypatch.setattr(drain_drill, "RENDER_S", 0.001)
    filled, worked = Report(time.monotonic(), time.monotonic()), Report(time.monotonic(), time.monotonic())
    await drain_drill.fill(redis_url, tmp_path, 150, filled)
    await redis.config_resetstat()
    await drain_drill.work(redis_url, tmp_path, 1, worked)
    found: dict[str, Any] = await redis.info("commandstats")

    assert (filled.done, worked.done) == (150, 150)
    assert (await Queue(redis).depth()).counted == {"enqueued": 300, "finished": 300}
    (counts,) = [await redis.hgetall(key) for key in await redis.keys("snapsurge:counts:*")]
    assert (counts[b"ready"], counts[b"on_time"]) == (b"150", b"150")
    assert sum(int(one["calls"]) for one in found.values()) / 150 <= COMMANDS_MAX
