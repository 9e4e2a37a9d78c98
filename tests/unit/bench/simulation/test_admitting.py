"""Admission over arrays decides as `ingest/admission.py`, called one by one: decisions, victims and sums."""

import random
from collections import deque

import pytest

from bench.simulation import admitting
from bench.simulation.admitting import FIRST, HOLDER, LATE
from bench.simulation.rules import commits_began, commits_ended
from bench.simulation.world import VICTIMS
from ingest.admission import Admission, Budget, Rank
from ingest.commits import Commits
from ingest.places import Place
from tests.unit.bench.simulation.simulated import play, poisson

RANKS = {HOLDER: Rank.HOLDER, FIRST: Rank.FIRST, LATE: Rank.LATE}
SUMS = ("requests", "bytes", "held")


class Both:
    """A node of the simulation and a real admission, which get the same calls."""

    def __init__(self, budget: Budget, users: int) -> None:
        self.world = play(poisson(1000, users, send_s=0.0)).world
        self.world.nodes["requests_max"], self.world.nodes["bytes_max"] = budget.requests_max, budget.bytes_max
        self.admission = Admission(budget, Commits())
        self.places: dict[int, Place] = {}
        self.victims: set[int] = set()

    def same(self, victims: list[Place]) -> None:
        """Compare the victims of the last call, and every sum."""
        count = self.world.counts[VICTIMS]
        ours = [int(one) for one in self.world.victims[:count]]
        self.world.counts[VICTIMS] = 0
        assert ours == [int(one.user) for one in victims]
        self.victims |= set(ours)
        desk, real = self.world.nodes[0], self.admission
        assert [desk[name] for name in SUMS] == [getattr(real, name) for name in SUMS]
        assert (desk["slow"], desk["slow_bytes"]) == (real._slow, real._slow_bytes)
        for i in ours:
            del self.places[i]

    def admit(self, i: int, size: int, rank: int, now: float) -> bool:
        """An upload asks for admission."""
        self.world.users["bytes"][i] = size
        ours = admitting.admit(self.world, 0, i, rank, now)
        place, victims = self.admission.admit(str(i), size, RANKS[rank], now)
        self.same(victims)
        assert ours == (place is not None)
        if place is not None:
            self.places[i] = place
        return ours

    def come(self, i: int, wanted: int, now: float) -> None:
        """Bytes come."""
        ours = admitting.room(self.world, 0, i, wanted, now)
        granted, victims = self.admission.room(self.places[i], wanted, now)
        place = self.places[i]
        self.same(victims)
        assert ours == granted
        if granted and not place.gone:
            admitting.arrived(self.world, 0, i, ours)
            self.admission.arrived(place, granted)
            self.same([])


@pytest.mark.parametrize("seed", range(4))
def test_admission_over_arrays_decides_as_the_module(seed: int) -> None:
    """A crowded node: short memory, slow phones, a slow store, retries, late users, and some who come back."""
    rng, now, users = random.Random(seed), 10.0, 400
    both = Both(Budget(requests_max=30, bytes_max=(4_000_000, 10**9)[seed % 2]), users)
    putting: deque[tuple[int, float]] = deque()
    for _ in range(6000):
        now += rng.expovariate(40)
        coming = [i for i, place in both.places.items() if not place.whole]
        if rng.random() < 0.3 or not coming:
            i = rng.randrange(users)
            if i not in both.places:
                both.admit(i, rng.choice((60_000, 300_000, 900_000)), rng.choice(tuple(RANKS)), now)
        else:
            i = rng.choice(coming)
            place = both.places[i]
            slowly = i % 5 == 0
            both.come(i, min(place.length - place.received, 500 if slowly else rng.randrange(1, 400_000)), now)
            if i in both.places and place.received == place.length:
                admitting.whole(both.world, 0, i, now)
                both.admission.whole(place, now)
                commits_began(both.world.nodes[0], now)
                both.admission.commits.began(now)
                putting.append((i, now))
        if putting and now - putting[0][1] > 0.4:
            i, began = putting.popleft()
            waiting = len(putting) % 2
            commits_ended(both.world.nodes[0], now, now - began, waiting, True)
            both.admission.commits.ended(now, now - began, waiting=waiting)
            admitting.release(both.world, 0, i)
            both.admission.release(both.places.pop(i))
            both.same([])
    assert both.victims, "the burst was too small: nobody was shed"
