"""The ladder: how many processes of a tier there must be at which second from the moment, and since when.

A process that is ordered at t takes work at t + lead, lead = machine + process + margin. Pure.
"""

import math
from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np

from ..errors import BenchError
from .demand import Series

# Steps stand on a grid, and each covers the grid's next cell too.
GRID_S: Final = 30
# The count goes up by a tenth at least, and down once the burst is over, so that a ladder is short enough to be read.
RISE: Final = 1.1
FALL: Final = 0.5
TIERS: Final = ("lb", "node", "worker")
# The autoscaler's own limits (processors/scaling/ladder.py); a test compares them.
COUNT_MAX: Final = 100_000
AT_S_MAX: Final = 24 * 3600


class LadderError(BenchError):
    """The plan cannot be followed by the autoscaler; the text says which number is too large."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """From `at_s` seconds after the moment fires, `count` processes of a tier."""

    at_s: int
    tier: str
    count: int


class Climb(msgspec.Struct, frozen=True, kw_only=True):
    """What a tier needs: processes by second, planned ones for each needed, seconds from order to work."""

    needed: Series
    ratio: float
    lead_s: float


def buffer(needed: Series, lead_s: float) -> int:
    """The largest surge of the need within `lead_s`, the rise from nothing at second 0 included."""
    before = math.ceil(lead_s)
    series = np.concatenate((np.zeros(before + 1), needed))
    most = 0.0
    for at in range(len(series)):
        # A buffer as large as the largest surge within the time that a start takes (Hotstar's rule for live events).
        most = max(most, float(series[at : at + before + 1].max() - series[at]))
    return int(most)


def steps(climbs: Mapping[str, Climb]) -> tuple[Step, ...]:
    """The ladder of all tiers in the order of time; LadderError when the autoscaler would refuse it."""
    found = [step for tier in TIERS if tier in climbs for step in _tier(tier, climbs[tier])]
    for step in found:
        if step.count > COUNT_MAX:
            raise LadderError(f"{step.count} processes of {step.tier}: a ladder has {COUNT_MAX} at most")
        if abs(step.at_s) > AT_S_MAX:
            raise LadderError(f"a step of {step.tier} at {step.at_s} s: a ladder spans {AT_S_MAX} s at most")
    return tuple(sorted(found, key=lambda step: step.at_s))


def _tier(tier: str, climb: Climb) -> list[Step]:
    """The steps of one tier."""
    cells, last, found = math.ceil(climb.lead_s / GRID_S), 0, list[Step]()
    end_s = len(climb.needed)
    peak = math.ceil(float(climb.needed.max()) * climb.ratio - 1e-9)
    # The first step is due a lead before the moment.
    for at_s in range(-(cells + 1) * GRID_S, end_s + GRID_S, GRID_S):
        # At each t there must be as many as are needed at any second until what is ordered at t takes work.
        until = at_s + GRID_S + math.ceil(climb.lead_s)
        window = climb.needed[max(0, at_s) : max(0, until + 1)]
        need = float(window.max()) if len(window) else 0.0
        count = math.ceil(need * climb.ratio - 1e-9)
        # The peak itself is always a step, however little it is above the one before.
        rises = count > last and (count >= last * RISE or count == peak)
        if rises or (count < last and (count <= last * FALL)):
            found.append(Step(at_s=at_s, tier=tier, count=count))
            last = count
    return found
