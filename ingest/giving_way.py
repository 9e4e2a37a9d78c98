"""Which call ends early when others wait, and when a place is free at the latest. Pure.

Two rules. A client that reads slower than a phone gives way at once, the slowest first. Any other gives way when it has
used up its turn, the longest turn first: so no set of users holds all places, however fast they read. Seconds in which
the node waits for a client count in full. The rest is work of the node, which the calls at a time share, so it counts
a part: a client that reads fast is not ended because many ask.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

# 512 kbit/s: a weak mobile network.
SLOW_BYTES_S: Final = 64 * 1024
# 45 MB, the largest photos and renditions of one post, at 1.5 MB/s.
TURN_S: Final = 30.0
# So many exports share one reader of the store (users.py).
NODE_PART: Final = 8


class Running(msgspec.Struct, frozen=True):
    """A call that holds a place: seconds in all, those in which it waited for its client, its client's bytes a second.

    `ending`: it was told to end, and has not yet.
    """

    held_s: float
    waited_s: float
    pace: float
    ending: bool = False

    @property
    def used_s(self) -> float:
        """The seconds of its turn that it has used."""
        return self.waited_s + (self.held_s - self.waited_s) / NODE_PART


def gives_way(running: Sequence[Running], waiting: int) -> int | None:
    """The number of the call to end now, if any; as many end as wait."""
    if sum(one.ending for one in running) >= waiting:
        return None
    staying = [number for number, one in enumerate(running) if not one.ending]
    slowest = min(staying, key=lambda number: running[number].pace, default=None)
    longest = max(staying, key=lambda number: running[number].used_s, default=None)
    if slowest is not None and running[slowest].pace < SLOW_BYTES_S:
        return slowest
    return longest if longest is not None and running[longest].used_s >= TURN_S else None


def free_in_s(running: Sequence[Running], ahead: int) -> float:
    """Seconds until `ahead` others and one more have a place, if each takes a turn whole and waits for its client."""
    left = sorted(max(0.0, TURN_S - one.used_s) for one in running)
    rounds, number = divmod(ahead, len(left))
    return left[number] + rounds * TURN_S
