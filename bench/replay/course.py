"""The course of a burst: what came, and what the service says of its queue and workers, second by second.

The service is asked at `/v1/scaling`, as an operator would; a second in which it does not answer, or knows nothing, is
left out. What the numbers look like is decided in `burst`.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

import msgspec

from ..clock import Clock
from ..service import Service
from ..traces.trace import Row

EVERY_S: Final = 1.0


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One look, `t` seconds after the moment; the age of the oldest ready job in seconds."""

    t: float
    ready: int
    oldest_s: float
    workers: int
    desired: int


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """A burst from before its moment until after its last post; `arrivals` are counted by the second after it."""

    window_s: float
    arrivals: tuple[int, ...]
    samples: tuple[Sample, ...] = ()


def by_second(rows: Iterable[Row]) -> tuple[int, ...]:
    """How many arrivals each second after the moment has, up to the last that has any."""
    counted = Counter(int(row.t // 1_000_000) for row in rows)
    return tuple(counted[second] for second in range(max(counted, default=-1) + 1))


class CourseWatch:
    """Looks every second; `fires_at` is the moment's Unix second."""

    def __init__(self, service: Service, fires_at: float, clock: Clock) -> None:
        self._service, self._fires_at, self._clock = service, fires_at, clock
        self.samples: list[Sample] = []

    async def follow(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await self._clock.sleep(EVERY_S)

    async def look(self) -> None:
        """One look."""
        asked = self._clock.now()
        found = await self._service.scaling()
        if found is not None:
            t = round((asked + self._clock.now()) / 2 - self._fires_at, 2)
            self.samples.append(
                Sample(t=t, ready=found.ready, oldest_s=found.oldest_s, workers=found.workers, desired=found.desired)
            )
