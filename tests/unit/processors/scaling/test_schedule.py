"""The schedule: read seldom, far enough ahead, and kept while the store is away."""

import logging
from typing import Any, cast

import pytest

from processors.scaling.schedule import SCHEDULE_MARGIN_S, SCHEDULE_S, Schedule
from processors.scaling.sizing import Moment
from storage.blobs import StoreUnavailable
from storage.moments import Moments
from storage.records import ACCEPTING_MS, from_ms
from storage.records import Moment as Stored

NOW_S = 1_767_225_600.0


class Fake:
    """Moments that say what they were asked for, and may be away."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []
        self.away = False

    async def since(self, since_ms: int, until_ms: int) -> list[Stored]:
        """One moment."""
        self.asked.append((since_ms, until_ms))
        if self.away:
            raise StoreUnavailable("away")
        fires = from_ms(int(NOW_S * 1000))
        return [Stored(id="eu-1", region="eu", fires_at=fires, closes_at=fires, window_s=120)]


async def test_it_is_read_every_few_seconds_and_kept_while_the_store_is_away(caplog: pytest.LogCaptureFixture) -> None:
    """From a day ago until the lead and a margin; an outage is logged once."""
    fake, at = Fake(), [NOW_S]
    clock: Any = lambda: at[0]  # noqa: E731 - one clock for both
    schedule = Schedule(cast(Moments, fake), lead_s=60, clock=clock, monotonic=clock)
    expected = (Moment(fires_at_ms=int(NOW_S * 1000), window_s=120),)

    assert await schedule.moments() == await schedule.moments() == expected
    now_ms = int(NOW_S * 1000)
    assert fake.asked == [(now_ms - ACCEPTING_MS, now_ms + int((60 + SCHEDULE_MARGIN_S) * 1000))]

    fake.away = True
    caplog.set_level(logging.WARNING)
    for _ in range(3):
        at[0] += SCHEDULE_S
        assert await schedule.moments() == expected
    assert len(fake.asked) == 4
    assert caplog.text.count("the last known schedule is used") == 1
