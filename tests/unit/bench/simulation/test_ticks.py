"""A tick plays its events in the order of their times, and those that they cause within it."""

import numpy as np

from bench.simulation import ticks
from bench.simulation.phones import schedule
from bench.simulation.world import ACCEPTED, NOBODY, STARTED, TICK, TRIES
from tests.unit.bench.simulation.simulated import play, poisson


def test_the_users_of_a_tick_are_taken_from_its_list() -> None:
    """Once."""
    w = play(poisson(10, 5)).world
    for i in range(5):
        schedule(w, i, 0.06, TRIES)
    assert sorted(ticks.gathered(w, 1).tolist()) == [0, 1, 2, 3, 4]
    assert w.head[1] == NOBODY
    assert ticks.gathered(w, 1).tolist() == []


def test_events_that_follow_within_the_tick_are_played_in_it() -> None:
    """An upload of a millisecond arrives, is received, stored and queued in one tick."""
    w = play(poisson(1000, 3, send_s=0.001)).world
    assert ticks.advance(w, 0, 0) == 3
    assert w.counts[ACCEPTED] == 3
    assert w.counts[TICK] == 1
    assert np.isfinite(w.users["finished"]).all()
    assert w.users["finished"].tolist() == sorted(w.users["finished"].tolist())


def test_a_post_is_queued_when_its_shard_answers() -> None:
    """And then once, with a flag beside it."""
    w = play(poisson(1000, 1, send_s=0.001)).world
    w.shard_back[0] = 0.12
    for tick, queued in enumerate((0, 0, 1)):
        ticks.advance(w, tick, int(tick > 0))
        assert (w.counts[ACCEPTED], w.counts[STARTED]) == (1, queued)
    assert w.users["ready"][0] > 0.12


def test_users_come_in_the_tick_of_their_arrival() -> None:
    """Not before."""
    w = play(poisson(10, 20)).world
    come = 0
    for tick in range(10):
        come = ticks.advance(w, tick, come)
        assert come == np.count_nonzero(w.users["arrives"] < (tick + 1) * 0.05)
