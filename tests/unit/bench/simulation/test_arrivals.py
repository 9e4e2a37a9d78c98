"""Arrivals as arrays: when, how many bytes, how long the phone sends, and where on the ring its user is."""

import asyncio

import numpy as np
import pytest

from bench.client import multipart
from bench.connections import Connections, Trip
from bench.simulation.arrivals import Arrivals, arrivals_of, placed
from bench.traces.trace import Row
from lb.placement.ring import Ring


class Clock:
    """A clock that jumps when somebody sleeps."""

    at = 0.0

    def now(self) -> float:
        """The time."""
        return self.at

    async def sleep(self, seconds: float) -> None:
        """Jump."""
        self.at += max(0.0, seconds)


class Sent:
    """A connection that takes everything, and has no answer yet."""

    def __init__(self) -> None:
        self.transport, self.whole, self.trip = self, False, Trip()
        self.answered = asyncio.get_running_loop().create_future()

    def writelines(self, _: object) -> None:
        """Take it."""

    def write(self, _: object) -> None:
        """Take it."""

    async def drained(self) -> None:
        """At once."""


@pytest.mark.parametrize(
    ("front", "uplink"), [(40_000, 62_500), (180_000, 625_000), (900_000, 2_500_000), (50, 30_000)]
)
async def test_a_body_takes_as_long_as_the_replay_takes(front: int, uplink: int) -> None:
    """The last chunk leaves when those before it would have left."""
    clock, body = Clock(), multipart(b"f" * front, b"b" * front)
    connections = Connections(1, clock, fresh=True)
    await connections._send(Sent(), b"", body, uplink)  # type: ignore[arg-type]
    found = arrivals_of([Row(t=1_500_000, u="one", f=front, b=front, up=uplink)])
    assert found.send_s[0] == pytest.approx(clock.at, rel=1e-6)
    assert (found.bytes[0], found.arrives[0], found.keys) == (len(body), 1.5, ["one"])


def test_users_are_placed_by_the_rings_digest() -> None:
    """Slot and turn are those of the key; without keys they are drawn."""
    ring = Ring([("a", 1), ("b", 1)], seed=b"s", slots=1024)
    arrivals = arrivals_of([Row(t=n, u=f"user{n}", f=9, b=9, up=9) for n in range(50)])
    slots, turns = placed(arrivals, ring, np.random.default_rng(1))
    for n in range(50):
        digest = ring.digest(f"user{n}".encode())
        assert (slots[n], turns[n]) == (digest % 1024, digest >> 56)
    anonymous = Arrivals(arrivals.arrives, arrivals.bytes, arrivals.send_s)
    slots, _ = placed(anonymous, ring, np.random.default_rng(1))
    assert len(set(slots.tolist())) > 30
