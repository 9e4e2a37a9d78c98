"""The parked uploads of a node, in the order in which they go when room is needed: the least recently active first.

An upload was active last when `ACTIVE_BYTES` more, or its last ones, had come. Pure: times come in.
"""

from bisect import bisect_left, insort
from typing import Final

from .places import Place

# Four times what the slowest phone that is not ended sends in a second: an honest phone that moved for a few seconds
# before its break is recent, and a holder pays for each renewal with as many bytes.
ACTIVE_BYTES: Final = 16 * 1024


class Parked:
    """The places of parked uploads, and `bytes` that they hold."""

    def __init__(self) -> None:
        self._places: list[Place] = []  # by `active_at`
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._places)

    @property
    def oldest(self) -> Place | None:
        """The one that goes first."""
        return self._places[0] if self._places else None

    def add(self, place: Place, now: float) -> None:
        """Park one, whose request ended now."""
        # Only bytes count: a HEAD, an empty or a tiny request costs its sender nothing, and would keep a place for ever
        # at the cost of honest phones.
        ended = place.announced and place.active_bytes < place.received == place.length
        if ended or place.received - place.active_bytes >= ACTIVE_BYTES:
            place.active_at, place.active_bytes = now, place.received
        place.parked_at = now
        insort(self._places, place, key=_active_at)
        self.bytes += place.held

    def remove(self, place: Place) -> None:
        """Take one out, if it is parked."""
        if place.parked_at is None:
            return
        place.parked_at = None
        at = bisect_left(self._places, place.active_at, key=_active_at)
        del self._places[self._places.index(place, at)]
        self.bytes -= place.held


def _active_at(place: Place) -> float:
    return place.active_at
