"""The band of a figure over the seeds of a simulation."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

BAND: Final = (10, 50, 90)


class Band(msgspec.Struct, frozen=True):
    """A figure's percentiles over the seeds."""

    p10: float
    p50: float
    p90: float


def bands(played: Sequence[Mapping[str, float]]) -> dict[str, Band]:
    """The band of each figure that every played burst has."""
    names = [name for name in played[0] if all(name in one for one in played)]
    return {
        name: Band(*(round(float(value), 3) for value in np.percentile([one[name] for one in played], BAND)))
        for name in names
    }
