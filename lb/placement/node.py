"""One node: its membership entry, health, load and answer time. Values only; `fleet.py` decides by them."""

import math

import msgspec

from .faults import Faults
from .health import Health
from .policy import Rank

# A slow start goes in steps of 1/256. A key gets in when its own eight bits are under the step: so the set of keys only
# grows, and each key moves once.
RAMP_FULL = 256
LEFT_MAX = 64  # Nodes that left are remembered, the last ones.
EWMA_S = 10.0  # Time constant after which a slow answer hardly counts, as in Finagle and Linkerd.


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A node as its membership entry describes it; `address` is host:port.

    `state` is serving, draining (the node announces it) or drained (an operator did it).
    """

    id: str
    address: str
    weight: int = 1
    zone: str = ""
    state: str = "serving"


class Node:
    """A node's present values; mutable, because every request changes them."""

    __slots__ = (
        "answered_at",
        "born",
        "bytes_in_flight",
        "check_at",
        "connect_errors",
        "connects",
        "ewma_s",
        "faults",
        "health",
        "host",
        "in_flight",
        "left_at",
        "load",
        "member",
        "open",
        "port",
        "ramp",
        "ramp_since",
        "rank",
        "requests",
        "silent",
        "weight",
        "zone",
    )

    def __init__(self, member: Member, health: Health, faults: Faults | None = None, born: float = 0.0) -> None:
        host, _, port = member.address.rpartition(":")
        self.host, self.port = host.strip("[]"), int(port)
        self.take(member)
        self.health, self.born = health, born
        self.faults = faults or Faults(5)
        self.rank = Rank.NEVER
        self.open = self.silent = False
        self.in_flight = self.bytes_in_flight = self.load = self.requests = self.connects = self.connect_errors = 0
        self.check_at = self.ramp_since = self.ewma_s = self.answered_at = self.left_at = 0.0
        self.ramp = RAMP_FULL

    def __repr__(self) -> str:
        return f"<Node {self.member.id} {self.member.address} {self.health.state.value} in_flight={self.in_flight}>"

    def take(self, member: Member) -> None:
        """Take over a new membership entry."""
        self.member, self.weight, self.zone = member, member.weight, member.zone

    def leave(self, now: float) -> "Node":
        """Note when the node left the membership."""
        self.left_at = now
        return self

    def check_soon(self) -> None:
        """Let the next health check of this node begin at once, because something about it is in doubt."""
        self.check_at = 0.0

    def begin_ramp(self, now: float) -> None:
        """Begin a slow start at the first step of the node's share."""
        self.ramp, self.ramp_since = 1, now

    def ramp_up(self, now: float, slow_start_s: float) -> None:
        """Advance the slow start to the step of this time."""
        self.ramp = min(RAMP_FULL, 1 + int((now - self.ramp_since) / slow_start_s * RAMP_FULL))

    def answered(self, seconds: float, now: float) -> None:
        """Update the peak EWMA: a slower answer counts at once, a faster one by the time since the last."""
        if seconds >= self.ewma_s:
            self.ewma_s = seconds
        else:
            kept = math.exp(-max(0.0, now - self.answered_at) / EWMA_S)
            self.ewma_s = self.ewma_s * kept + seconds * (1 - kept)
        self.answered_at = now
