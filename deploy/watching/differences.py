"""How much counters rose between two pages of a process, whatever happened to the process in between. Pure."""

from collections.abc import Mapping
from typing import Final

import msgspec

from .exposition import Page, Series

STARTED: Final = "process_start_time_seconds"
# Linux gives start times in hundredths of a second, and the library reads the boot time in whole seconds.
SAME_START_S: Final = 1.5


class Reading(msgspec.Struct, frozen=True):
    """A page and the unix time at which it was read."""

    at: float
    page: Page

    @property
    def started(self) -> float | None:
        """When the process started, in unix seconds; None when its page does not say."""
        return self.page.get(STARTED)


class Rise(msgspec.Struct, frozen=True):
    """By how much each counter rose in `seconds`."""

    seconds: float
    by: Mapping[Series, float]

    def each(self, name: str) -> list[tuple[dict[str, str], float]]:
        """Labels and rise of all series with this name."""
        return [(dict(labels), value) for (found, labels), value in self.by.items() if found == name]

    def total(self, name: str, **labels: str) -> float:
        """The rise of all series with this name and at least these labels."""
        wanted = labels.items()
        return sum(value for found, value in self.each(name) if wanted <= found.items())


NONE: Final = Rise(0.0, {})


def restarted(before: Reading, after: Reading) -> bool:
    """Whether another process answers now; False also when the pages do not say when theirs started."""
    if before.started is None or after.started is None:
        return False
    return abs(after.started - before.started) > SAME_START_S


def rise(before: Reading | None, after: Reading, *, watched_since: float) -> Rise:
    """The rise of all samples, which the caller knows to be counters, between two readings of one target.

    Without a reading before, the target counts from 0 if its process started after `watched_since` (unix seconds), when
    its absence was seen. Its seconds are then those since its start.
    """
    if before is None:
        # What a process had counted before it was first seen says nothing about now.
        if after.started is None or after.started <= watched_since:
            return NONE
        # A counter begins at 0 with its process.
        return Rise(max(after.at - after.started, 0.0), dict(after.page.samples))
    seconds = after.at - before.at
    if seconds <= 0:
        return NONE
    if restarted(before, after):
        return Rise(seconds, dict(after.page.samples))
    # A series of a running process may appear at any time, with its first increase: what is missing in the old page was
    # 0.
    old = before.page.samples
    # A counter that fell is that of a new process.
    return Rise(seconds, {key: new - was if new >= (was := old.get(key, 0.0)) else new for key, new in _of(after)})


def _of(reading: Reading) -> list[tuple[Series, float]]:
    return list(reading.page.samples.items())
