"""Polls see what is ready, one after the other, with the pauses of a replay."""

import numpy as np
import pytest

from bench.replay import ready
from bench.simulation.cores import Cores
from bench.simulation.watching import PAUSE_PER_COST, PAUSE_S, WAIT_PER_COST, Watch
from bench.simulation.world import ACCEPTED, AWAY, World
from tests.unit.bench.simulation.simulated import play, poisson

TICK = 0.05
USERS = 4000


class Seen(Cores):
    """Remembers the cores that polls took."""

    def __init__(self) -> None:
        super().__init__(np.ones(8), np.ones(8), np.zeros(8), np.ones(8))
        self.taken: list[float] = []

    def watch(self, machines: object, cores: float) -> None:
        """Remember."""
        assert machines == [0]
        self.taken.append(cores)


def world(*, sending: bool) -> World:
    """So many accepted pairs; someone is still away, or nobody."""
    w = play(poisson(1000, USERS)).world
    w.counts[:] = 0
    w.counts[AWAY], w.counts[ACCEPTED] = int(sending), USERS
    return w


def watched(w: World, list_s: float, until_s: float, *, seed: int = 1) -> tuple[Watch, list[float]]:
    """Poll for so long; the cores in each tick."""
    watch, cores = Watch(w, list_s, [0], seed), Seen()
    for tick in range(round(until_s / TICK)):
        watch.poll(cores, tick * TICK, TICK)
    return watch, cores.taken


def test_the_pauses_are_those_of_the_replay() -> None:
    """The simulation cannot import an async module for three numbers."""
    assert (PAUSE_S, PAUSE_PER_COST, WAIT_PER_COST) == (ready.PAUSE_S, ready.PAUSE_PER_COST, ready.WAIT_PER_COST)


@pytest.mark.parametrize(("sending", "pause_s"), [(True, 8.0), (False, 1.6)])
def test_a_long_poll_is_a_rare_one(*, sending: bool, pause_s: float) -> None:
    """Polls of 0.4 s take their part of a core; a picture is seen half a poll and half a round later, on average."""
    w = world(sending=sending)
    w.users["ready"] = np.linspace(0.0, 400.0, USERS)
    watch, taken = watched(w, 0.4 / USERS, 450.0)
    assert np.mean(taken[: round(400 / TICK)]) == pytest.approx(0.4 / (pause_s + 0.4), rel=0.1)
    waits = watch.seen() - w.users["ready"]
    assert np.mean(waits) == pytest.approx(0.2 + (pause_s + 0.4) / 2, rel=0.05)  # mean residual of equal intervals
    assert waits.min() >= 0.2 - 1e-6
    assert waits.max() <= 0.2 + pause_s + 0.4 + 1e-6


def test_nothing_new_is_not_listed() -> None:
    """One list of what there is, and another one after a change."""
    w = world(sending=True)
    w.users["ready"] = np.nan
    assert sum(watched(w, 0.1 / USERS, 20.0)[1]) * TICK == pytest.approx(0.1)
    w.users["ready"][7] = 10.0
    assert sum(watched(w, 0.1 / USERS, 20.0)[1]) * TICK == pytest.approx(0.2)


def test_the_replay_polls_at_once_when_phones_have_ended() -> None:
    """Whatever pause it was in."""
    w = world(sending=True)
    w.users["ready"] = 5.0
    watch, cores = Watch(w, 2.0 / USERS, [0], 1), Seen()
    for tick in range(400):
        if tick == 200:
            w.counts[AWAY] = 0
        watch.poll(cores, tick * TICK, TICK)
    assert watch.seen().tolist() == pytest.approx([12.0] * USERS)  # 10 s, and the poll


def test_what_is_not_yet_seen_at_the_end_is_seen_by_the_next_polls() -> None:
    """The burst ended before the last picture was seen; who has none is not seen."""
    w = world(sending=False)
    w.users["ready"] = 3.0
    w.users["ready"][0] = np.nan
    watch, _ = watched(w, 0.0, 1.0)
    found = watch.seen()
    assert np.isnan(found[0])
    assert found[1:].min() == found[1:].max()
    assert 3.0 <= found[1] <= 3.0 + PAUSE_S


def test_without_phones_nobody_polls() -> None:
    """A picture is seen when it is ready, and no core is taken."""
    w = world(sending=True)
    w.users["ready"] = 3.0
    watch, cores = Watch(w, 1.0, [], 1), Seen()
    watch.poll(cores, 0.0, TICK)
    assert cores.taken == []
    assert set(watch.seen()) == {3.0}
