"""The schedule hears of moments that are changed or cancelled, before their lead begins."""

from typing import Any

from redis.asyncio import Redis

from processors.scaling.schedule import SCHEDULE_S, Schedule
from processors.scaling.sizing import Moment
from storage.index import Index
from storage.moments import COPY_S, Moments
from storage.rescheduling import Rescheduling

NOON_S = 1_769_860_800.0


class Clock:
    """Seconds that the test sets."""

    now_s = NOON_S - 300

    def __call__(self) -> float:
        """The seconds."""
        return self.now_s


async def test_the_scaler_is_told_of_every_change(world: Any, redis: Redis) -> None:
    """Later, with another window, and cancelled: what another process does is seen at the next reading."""
    clock = Clock()

    def process() -> Moments:
        return Moments(world.store, Index(redis), clock=clock, monotonic=clock)

    node = process()
    changes = Rescheduling(world.store, Index(redis), node, clock=clock)
    schedule = Schedule(process(), lead_s=60, clock=clock, monotonic=clock)
    noon_ms = int(NOON_S * 1000)
    moment = await node.create("eu", noon_ms, 120)
    assert await schedule.moments() == (Moment(fires_at_ms=noon_ms, window_s=120),)

    await changes.change(moment.id, fires_at_ms=noon_ms + 60_000, window_s=60)
    clock.now_s += max(SCHEDULE_S, COPY_S)
    assert await schedule.moments() == (Moment(fires_at_ms=noon_ms + 60_000, window_s=60),)

    await changes.change(moment.id, cancelled=True)
    clock.now_s += max(SCHEDULE_S, COPY_S)
    assert await schedule.moments() == ()
