"""The compiled rules are the modules' own: the same calls give the same numbers, to the last bit."""

import random

import numpy as np

from bench.simulation import rules
from bench.simulation.world import records
from ingest.commits import Commits
from ingest.places import Place, Usual
from ingest.places import slow_s as slow
from ingest.returns import Returns
from lb.placement import policy


def test_commits_of_the_simulation_are_those_of_the_node() -> None:
    """Twenty thousand reports in random order leave every field equal after each."""
    ours, theirs, rng, now = records(rules.COMMITS, 2, Commits())[1], Commits(), random.Random(1), 100.0
    for _ in range(20_000):
        now += rng.expovariate(20)
        seconds, waiting, flag = rng.random() * 1.5, rng.randrange(3), rng.random() < 0.8
        match rng.randrange(6) if theirs.under_way else 0:
            case 0:
                rules.commits_began(ours, now)
                theirs.began(now)
            case 1 | 2:
                rules.commits_ended(ours, now, seconds, waiting, flag)
                theirs.ended(now, seconds, waiting=waiting, committed=flag)
            case 3:
                assert rules.commits_stalled(ours, now) == theirs.stalled(now)
            case 4:
                rules.commits_refused(ours, flag)
                theirs.refused(by_bound=flag)
            case _:
                rules.commits_received(ours, seconds)
                theirs.received(seconds)
        assert rules.commits_free(ours) == theirs.free
        assert rules.commits_in_flight_max(ours, seconds) == theirs.in_flight_max(seconds)
        assert {name: ours[name] for name in rules.COMMITS.names or ()} == {
            name: getattr(theirs, name) for name in rules.COMMITS.names or ()
        }


def test_returns_and_usual_values_are_those_of_the_node() -> None:
    """A virtual queue longer than a minute is among them."""
    rng, now, returns, usual = random.Random(2), 0.0, Returns(), Usual(15.0)
    ours, own = records(rules.RETURNS, 1, Returns())[0], records(rules.USUAL, 1, Usual(15.0))[0]
    for _ in range(500):
        now, rate, fraction = now + rng.expovariate(5), rng.random() * 4, rng.random()
        assert rules.retry_after_s(ours, now, rate, fraction) == returns.retry_after_s(now, rate, fraction)
        rules.usual_told(own, rate)
        usual.told(rate)
        assert own.value == usual.value
        assert rules.slow_s(usual.value) == slow(usual.value)


def test_places_are_judged_as_in_the_node() -> None:
    """Charge, seconds left and slowness of uploads in any state."""
    rng = random.Random(3)
    names = ("length", "received", "held", "charged", "since", "slow", "whole", "gone", "announced")
    for _ in range(500):
        place = Place("user", rng.randrange(1, 2_000_000), rng.random() * 9, slow=rng.random() < 0.2)
        place.received = rng.randrange(place.length)
        place.held, place.whole = place.received, rng.random() < 0.2
        ours = records(np.dtype([(name, "f8" if name == "since" else "i4") for name in names]), 1, place)[0]
        for name in names:
            ours[name] = getattr(place, name)
        now, usual = 9 + rng.random() * 20, rng.random() * 1e6
        left = place.left_s(now, usual)
        assert rules.place_left_s(ours, now, usual) == left
        assert rules.place_is_slow(ours, now, left, 3.0) == place.is_slow(now, left, 3.0)
        assert rules.place_charge(ours, usual) == place.charge(usual)


def test_the_cap_is_the_policys_own() -> None:
    """It is the function of lb/placement/policy.py, with a bound that compiled code can take."""
    bound = policy.Bound(125, 2**24)
    assert rules.cap(3, 10**10, 7, rules.Bound(125, 2**24)) == policy.cap(3, 10**10, 7, bound)
