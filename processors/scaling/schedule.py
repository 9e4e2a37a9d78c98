"""The schedule of moments as the scaling decision needs it: read every few seconds, kept while the store is away."""

import logging
from collections.abc import Callable

from storage.moments import Moments
from storage.records import ACCEPTING_MS, to_ms
from storage.records import Moment as StoredMoment
from storage.refusals import reason

from .sizing import Moment

log = logging.getLogger("snapsurge.processors.schedule")

# Seconds between two reads of the schedule. Moments change seldom and are created well before their lead begins.
SCHEDULE_S = 2.0
# Moments are read this many seconds before their lead begins, in case the next reads fail, and so that alerts which
# ask whether all is ready for a moment have an hour.
SCHEDULE_MARGIN_S = 3600.0


class Schedule:
    """`clock` gives unix seconds, `monotonic` seconds of any origin; `lead_s`: how long before a moment it counts."""

    def __init__(
        self, moments: Moments, *, lead_s: float, clock: Callable[[], float], monotonic: Callable[[], float]
    ) -> None:
        self._moments = moments
        self._ahead_ms = int((lead_s + SCHEDULE_MARGIN_S) * 1000)
        self._clock = clock
        self._monotonic = monotonic
        self._due = 0.0
        self._stale = False
        self._last: tuple[Moment, ...] = ()
        # The moments of the last read, as the store has them.
        self.known: tuple[StoredMoment, ...] = ()

    async def moments(self) -> tuple[Moment, ...]:
        """The moments that accept posts and those whose lead begins soon; the last known if unreadable."""
        if self._monotonic() < self._due:
            return self._last
        self._due = self._monotonic() + SCHEDULE_S
        try:
            now_ms = int(self._clock() * 1000)
            moments = await self._moments.since(now_ms - ACCEPTING_MS, now_ms + self._ahead_ms)
        except Exception as error:  # noqa: BLE001 - a moment that cannot be read must not end the scaling
            if not self._stale:
                log.warning("the moments cannot be read, the last known schedule is used: %s", reason(error))
            self._stale = True
            return self._last
        self._stale, self.known = False, tuple(moments)
        self._last = tuple(Moment(fires_at_ms=to_ms(one.fires_at), window_s=one.window_s) for one in moments)
        return self._last
