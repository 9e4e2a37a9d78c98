"""The bands of a sealed prediction, by the lines that they are drawn under.

A figure of one second is named `accepted@12` in the file (`simulate --seal`); the others have no line.
"""

from collections import defaultdict
from pathlib import Path

import msgspec

from ..errors import BenchError
from ..files import read_json
from .figures import Band


class Spread(msgspec.Struct, frozen=True):
    """Between these two lie eight of ten simulated runs."""

    p10: float
    p90: float


class Sealed(msgspec.Struct, frozen=True):
    """The part of a prediction that is drawn."""

    figures: dict[str, Spread]


class NoPrediction(BenchError):
    """The file holds no sealed prediction; the text says why."""


def bands(path: Path) -> dict[str, list[Band]]:
    """The bands of a sealed prediction by name, in the order of their seconds; NoPrediction."""
    sealed = read_json(path, Sealed, "sealed prediction", NoPrediction)
    found: defaultdict[str, list[Band]] = defaultdict(list)
    for name, spread in sealed.figures.items():
        line, at, second = name.partition("@")
        if at and second.isdecimal():
            found[line].append(Band(float(second), spread.p10, spread.p90))
    return {line: sorted(many, key=lambda band: band.t) for line, many in found.items()}
