"""The parameters of placement, as one value made from settings and options; the same on all balancers."""

import msgspec

from .health import Thresholds
from .policy import Bound


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
