"""The course of a burst, second by second: arrivals, and the state of the service's queue and workers.

`burst` draws the numbers.
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
    """One sample, `t` seconds after the moment; `oldest_s` is the age of the oldest ready job."""

    t: float
    ready: int
    oldest_s: float
    workers: int
    desired: int


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """A burst from before its moment until after its last post; `arrivals[n]` counts those in second n after it."""

    window_s: float
    arrivals: tuple[int, ...]
    samples: tuple[Sample, ...] = ()


def by_second(rows: Iterable[Row]) -> tuple[int, ...]:
    """The number of arrivals in each second after the moment, up to the second of the last arrival."""
    counted = Counter(int(row.t // 1_000_000) for row in rows)
    return tuple(counted[second] for second in range(max(counted, default=-1) + 1))


class CourseWatch:
    """Takes a sample every second; `fires_at` is the moment's Unix second."""

    def __init__(self, service: Service, fires_at: float, clock: Clock) -> None:
        self._service, self._fires_at, self._clock = service, fires_at, clock
        self.samples: list[Sample] = []

    async def follow(self) -> None:
        """Take samples until cancelled."""
        while True:
            await self.look()
            await self._clock.sleep(EVERY_S)

    async def look(self) -> None:
        """Take one sample; without an answer, none is added."""
        asked = self._clock.now()
        # `/v1/scaling`, as an operator reads it.
        found = await self._service.scaling()
        # A second in which the service does not answer, or has no decision yet, is left out.
        if found is not None:
            # The middle of the request is when the answer was true.
            t = round((asked + self._clock.now()) / 2 - self._fires_at, 2)
            self.samples.append(
                Sample(t=t, ready=found.ready, oldest_s=found.oldest_s, workers=found.workers, desired=found.desired)
            )
