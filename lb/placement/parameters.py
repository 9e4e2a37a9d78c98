"""The parameters of placement, as one value made from settings and options; the same on all balancers."""

import msgspec

from .health import Thresholds
from .policy import Bound

# A read that spills costs the next node one look-up. A node serves some hundred reads at once, and one user at most 32
# of them: at half of those a key that many read (a picture everybody looks at) begins to use the other nodes.
SHARED_REQUESTS = 16


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """Policy, ring, bound, health thresholds, slow start, zone and retry budget.

    `checked` says that active checks are on. A request counts at least `request_bytes`. 5xx answers to `faulty_users`
    users make a node suspect.
    """

    policy: str
    seed: bytes
    slots: int
    bound: Bound
    thresholds: Thresholds
    checked: bool
    zone: str = ""
    request_bytes: int = 16384
    slow_start_s: float = 10.0
    faulty_users: int = 5
    retry_percent: int = 20
    retry_floor: int = 3

    @property
    def shared_bound(self) -> Bound:
        """The bound for a key that many users share: the same factor, with a floor of `SHARED_REQUESTS` requests."""
        return Bound(self.bound.factor, min(self.bound.floor, SHARED_REQUESTS * self.request_bytes))
