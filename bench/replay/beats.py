"""The values that pass between a run and its generators of load: arrivals to send, and beats of what happened.

Pure.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from ..outcome import Outcome
from ..rows import percentile
from ..traces.trace import Row
from .check import Sent

USER_PREFIX: Final = "rehearsal-"  # of every user that a replay makes up: to be recognised among real ones


class Arrival(msgspec.Struct, frozen=True, array_like=True):
    """One row to send: its number in the burst, which chooses photos and first target, and its user's token."""

    number: int
    row: Row
    bearer: str


class Ended(msgspec.Struct, frozen=True, array_like=True):
    """An upload that ended, with the digests of what was sent."""

    outcome: Outcome
    sent: Sent


# Raw outcomes and no summary, so any number of generators' beats add up to what one generator would have told: figures
# are made once, of all outcomes.
class Beat(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What a generator did since its beat before: uploads begun, statuses of tries, uploads that ended.

    `waiting`: the intended Unix seconds of the uploads that are in flight now.
    """

    generator: int = 0
    begun: int = 0
    statuses: tuple[int, ...] = ()
    ended: tuple[Ended, ...] = ()
    waiting: tuple[float, ...] = ()


class Generator(msgspec.Struct, frozen=True, kw_only=True):
    """A generator of load as the report names it; clocks in ms ahead of the coordinator's, before and after."""

    name: str
    offered: int = 0
    lag_p99_ms: float | None = None
    clock_before_ms: float = 0.0
    clock_after_ms: float = 0.0
    cpu_ms: float = 0.0


class Gathered:
    """All that the generators told, as if one had sent it: in the order of intended times."""

    def __init__(self) -> None:
        self._outcomes: list[Outcome] = []
        self._lags_ms: dict[int, list[float]] = defaultdict(list)
        self.sent: dict[str, Sent] = {}

    def take(self, beats: Iterable[Beat]) -> None:
        """Add what these beats tell."""
        for beat in beats:
            for each in beat.ended:
                outcome = each.outcome
                self._outcomes.append(outcome)
                self.sent[outcome.user] = each.sent
                self._lags_ms[beat.generator].append((outcome.attempts[0].started - outcome.intended) * 1000)

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """Of every upload that ended."""
        return tuple(sorted(self._outcomes, key=lambda one: (one.intended, one.user)))

    def lagging(self, generators: Sequence[Generator]) -> tuple[Generator, ...]:
        """The generators, numbered from 1, each with the 99th percentile of its first tries' lag."""
        lags = [sorted(self._lags_ms[number]) for number in range(1, len(generators) + 1)]
        return tuple(
            msgspec.structs.replace(each, lag_p99_ms=round(percentile(lag, 99), 1) if lag else None)
            for each, lag in zip(generators, lags, strict=True)
        )


def rehearsing(rows: Iterable[Row]) -> tuple[Row, ...]:
    """The rows with users that everybody recognises as made up."""
    return tuple(msgspec.structs.replace(row, u=f"{USER_PREFIX}{row.u}") for row in rows)


def share(arrivals: Sequence[Arrival], generators: int) -> list[tuple[Arrival, ...]]:
    """The arrivals of each generator, dealt in turn, so that each has the whole burst's course and mix."""
    return [tuple(arrivals[start::generators]) for start in range(generators)]
