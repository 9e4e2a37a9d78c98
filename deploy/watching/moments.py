"""The moments of the view: which one counts, and how each stays known while no autoscaler answers. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from . import view
from .rounds import Seen
from .view import Moment

# A moment that is over for so long gives way to the next one.
AFTER_S: Final = 600.0
OTHERS_MAX: Final = 8  # Other moments in a view.
MOMENTS_MAX: Final = 64  # Moments that are kept.
TOLD_S: Final = 15.0  # A new leader tells of the moments after some seconds.


def told(seen: Sequence[Seen], at: float) -> dict[str, Moment]:
    """Every moment that an autoscaler tells of, by id."""
    found: dict[str, Moment] = {}
    for one in seen:
        for labels, fires_at in one.each("snapsurge_moment_fires_timestamp_seconds"):
            name, region = labels.get("moment", ""), labels.get("region", "")
            complete = one.get("snapsurge_moment_counts_complete", moment=name)
            closes_at = one.get("snapsurge_moment_closes_timestamp_seconds", moment=name, region=region)
            found[name] = Moment(
                id=name,
                region=region,
                fires_at=fires_at,
                closes_at=fires_at if closes_at is None else closes_at,
                since_s=at - fires_at,
                posts={},
                complete=None if complete is None else bool(complete),
            )
        for labels, value in one.each("snapsurge_moment_posts"):
            if (of := found.get(labels.get("moment", ""))) is not None and "state" in labels:
                of.posts[labels["state"]] = int(value)
    return found


def ordered(known: Iterable[Moment]) -> list[Moment]:
    """The moment that counts, then the others: open ones, the last first; to come, by their time; over, the last first.

    The one that counts is an open one, else one that is near, else one that closed not long ago, else the next one,
    else the last one. The others that closed long ago are left out.
    """
    by_phase: dict[str, list[Moment]] = {"open": [], "before": [], "closed": []}
    for one in sorted(known, key=lambda each: (each.fires_at, each.id)):
        by_phase[one.phase].append(one)
    now, later, over = by_phase["open"][::-1], by_phase["before"], by_phase["closed"][::-1]
    fresh = [one for one in over if one.since_s <= one.closes_at - one.fires_at + AFTER_S]
    if now or (later and later[0].since_s >= -view.BEFORE_S):
        return [*now, *later, *fresh]
    return [*fresh[:1], *later, *fresh[1:]] or over[:1]


class Known:
    """The moments by id, as they were told last; `add` each round, in order."""

    def __init__(self) -> None:
        self.moments: Mapping[str, Moment] = {}
        self._untold_since: dict[str, float] = {}

    def add(self, found: Mapping[str, Moment], at: float, *, leads: bool) -> Mapping[str, Moment]:
        """The moments after a round in which these were told; `leads`: by an autoscaler that leads for a while.

        One that nobody tells of stays as it was, with its times, unless that autoscaler no longer knows it: then it
        was cancelled if it has not fired, and is over if it closed long ago.
        """
        kept = {}
        for name, one in self.moments.items():
            if name in found:
                self._untold_since.pop(name, None)
                continue
            if not leads:
                self._untold_since.pop(name, None)
            since = self._untold_since.setdefault(name, at) if leads else at
            ends = at < one.fires_at or at > one.closes_at + AFTER_S
            if at - since < TOLD_S or not ends:
                kept[name] = replace(one, since_s=at - one.fires_at)
        nearest = sorted({**kept, **found}.values(), key=lambda one: abs(one.since_s))[:MOMENTS_MAX]
        self.moments = {one.id: one for one in nearest}
        self._untold_since = {name: since for name, since in self._untold_since.items() if name in self.moments}
        return self.moments
