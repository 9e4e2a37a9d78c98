"""Counts times in whole milliseconds, and tells exact quantiles of them. Pure.

Sorting a million values stops the event loop for 0.6 s, in a thread too (it keeps the interpreter). Here each value is
counted as it comes, and a quantile looks at the seconds in order, then at the milliseconds of one of them.
"""

from collections import Counter
from typing import Final

from storage.accounts import Quantiles

# 24 days: what is longer counts as this.
MS_MAX: Final = 2**31 - 1
_SECOND: Final = 1000


class Distribution:
    """How often each time occurred."""

    def __init__(self) -> None:
        self._seconds: Counter[int] = Counter()
        self._ms: Counter[int] = Counter()

    def add(self, ms: int) -> None:
        """Count a time; one below 0 counts as 0."""
        ms = min(max(ms, 0), MS_MAX)
        self._seconds[ms // _SECOND] += 1
        self._ms[ms] += 1

    def quantiles(self) -> Quantiles:
        """Quantiles of all times by the nearest rank, which is one of the times."""
        count = self._seconds.total()
        if not count:
            return Quantiles()
        seconds = sorted(self._seconds)

        def at(percent: int) -> int:
            rank = -(-percent * count // 100)
            for second in seconds:
                if rank <= self._seconds[second]:
                    break
                rank -= self._seconds[second]
            for ms in range(second * _SECOND, (second + 1) * _SECOND):
                rank -= self._ms.get(ms, 0)
                if rank <= 0:
                    break
            return ms

        return Quantiles(count=count, p50=at(50), p90=at(90), p99=at(99), max=at(100))
