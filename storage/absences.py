"""In which moments users have no post, remembered for a while: a bit for each moment, in one number for each user.

Pure: time comes in. Only for moments that take no posts any more. A post that operators restore there is found when
what is remembered of its user has expired.
"""

from collections.abc import Callable, Iterable
from typing import Final

from cachetools import LRUCache

# 10,000 users with 5,000 moments are 10 MiB, 20,000 ids of moments 3 MiB.
USERS_MAX: Final = 10_000
MOMENTS_MAX: Final = 20_000
KEPT_S: Final = 600.0


class Absences:
    """What was found to be absent. `monotonic` gives seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._positions: dict[str, int] = {}
        self._users: LRUCache[str, tuple[int, float]] = LRUCache(USERS_MAX)  # bits, and until when

    def has(self, user_id: str, moment_id: str) -> bool:
        """Whether the user is known to have no post in this moment."""
        position = self._positions.get(moment_id)
        return position is not None and bool(self._bits(user_id)[0] >> position & 1)

    def note(self, user_id: str, moment_ids: Iterable[str]) -> None:
        """Remember that the user has no post in these moments, until the first note about the user expires."""
        if len(self._positions) >= MOMENTS_MAX:  # most are of moments that are no more
            self._positions.clear()
            self._users.clear()
        bits, until_s = self._bits(user_id)
        for moment_id in moment_ids:
            bits |= 1 << self._positions.setdefault(moment_id, len(self._positions))
        if bits:
            self._users[user_id] = bits, until_s

    def _bits(self, user_id: str) -> tuple[int, float]:
        bits, until_s = self._users.get(user_id, (0, 0.0))
        now = self._monotonic()
        return (bits, until_s) if now < until_s else (0, now + KEPT_S)
