"""A sealed prediction, as `python -m bench simulate` writes it: bands that the view shows beside what happens. Pure.

The figures have the names that a replay's report gives them; `offered@12` is that of the thirteenth second.
"""

from collections.abc import Iterator, Mapping

import msgspec

from .view import Foretold

BY_SECOND = ("offered", "accepted", "shed")
# These are known early; all other figures of a burst only grow.
SETTLING = ("upload_p50_ms", "upload_p99_ms")


class PredictionUnreadable(Exception):
    """The file is not a sealed prediction; the text says why."""


class Band(msgspec.Struct, frozen=True):
    """A predicted figure's percentiles."""

    p10: float
    p50: float
    p90: float


class Prediction(msgspec.Struct, frozen=True):
    """The part of the file that is used here."""

    sealed_at: str
    figures: dict[str, Band]

    def course(self) -> dict[str, list[tuple[int, float, float, float]]]:
        """For each figure by second: the second and its band, in order."""
        found: dict[str, list[tuple[int, float, float, float]]] = {name: [] for name in BY_SECOND}
        for figure, band in self.figures.items():
            name, _, second = figure.partition("@")
            # `offered@12` is the figure of the thirteenth second.
            if name in found and second.isdecimal():
                found[name].append((int(second), band.p10, band.p50, band.p90))
        return {name: sorted(rows) for name, rows in found.items()}

    def beside(
        self, so_far: Mapping[str, float | None], now: Mapping[str, float | None], since_s: float | None
    ) -> Iterator[Foretold]:
        """The figures of the whole burst that `so_far` has, and what is `now` beside those of the second `since_s`."""
        for name, value in so_far.items():
            if (band := self.figures.get(name)) is not None:
                # The names are those of a replay's report, which a prediction is scored by.
                yield _beside(name, band, value, grows=name not in SETTLING)
        if since_s is not None and since_s >= 0:
            for name, value in now.items():
                if (band := self.figures.get(f"{name}@{int(since_s)}")) is not None:
                    yield _beside(f"{name} a second", band, value, grows=False)


def _beside(name: str, band: Band, now: float | None, *, grows: bool) -> Foretold:
    """A figure that only grows may still come into its band from below."""
    outside = now is not None and (now > band.p90 or (now < band.p10 and not grows))
    return Foretold(name=name, p10=band.p10, p50=band.p50, p90=band.p90, now=now, outside=outside)


def decode(body: bytes) -> Prediction:
    """The prediction in a file's content; PredictionUnreadable."""
    try:
        return msgspec.json.decode(body, type=Prediction)
    except msgspec.MsgspecError as error:
        raise PredictionUnreadable(f"not a sealed prediction: {error}") from error
