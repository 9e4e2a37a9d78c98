"""A trace played once for each seed: the figures of every play, the axes, and the last play's queue."""

from collections.abc import Sequence

import msgspec

from ..capacity.costs import Costs
from ..config import Config
from ..traces.trace import Row
from .arrivals import arrivals_of
from .axes import axes_of
from .faults import Fault
from .figures import figures_of
from .fleet import Fleet
from .run import Play, Second


class Played(msgspec.Struct, frozen=True):
    """What is known after the last play."""

    figures: tuple[dict[str, float], ...]
    axes: dict[str, float | str]
    course: tuple[Second, ...]


def played(
    rows: Sequence[Row], window_s: float, fleet: Fleet, costs: Costs, faults: Sequence[Fault], seeds: int
) -> Played:
    """Play the rows, one first attempt of each user, with the seeds 1, 2, … ."""
    arrivals = arrivals_of(rows)
    found: list[dict[str, float]] = []
    course: tuple[Second, ...] = ()
    for seed in range(1, seeds + 1):
        result = Play(fleet, costs, arrivals, window_s, Config(), seed).play(faults)
        found.append(figures_of(result))
        course = result.seconds
    return Played(tuple(found), axes_of(arrivals, fleet, faults), course)
