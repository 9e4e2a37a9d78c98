"""Workers take the most urgent job when they are free; what waited too long is rendered without `full` first."""

import math

import numpy as np
import pytest
from msgspec.structs import replace

from bench.capacity.costs import Line
from bench.simulation import rendering
from bench.simulation.ticks import advance
from bench.simulation.uploads import enqueue
from bench.simulation.world import (
    COMPLETING,
    DEGRADED,
    FLAGGED,
    LEASED,
    PASSING,
    QUEUED,
    SHOWING,
    STARTED,
    WORKER,
    World,
)
from processors import ahead, config
from processors.worker import FLAGS_MAX
from tests.unit.bench.simulation.simulated import costs, fleet, play, poisson


def test_posts_on_time_come_first() -> None:
    """One worker, three late jobs and three on time that were queued after them."""
    w = play(poisson(1000, 6), of=fleet(workers=1)).world
    for i in range(6):
        enqueue(w, i, 1.0, 1 if i < 3 else 0)
    rendering.render(w, math.inf)
    assert sorted(range(6), key=lambda i: w.users["ready"][i]) == [3, 4, 5, 0, 1, 2]
    assert w.counts[QUEUED] == 0
    assert w.counts[STARTED] == 6


def test_a_job_begins_when_it_is_ready_and_a_worker_is_free() -> None:
    """Two workers, renders of 50 ms."""
    w = play(poisson(1000, 3)).world
    for i, at in enumerate((1.0, 1.01, 1.02)):
        enqueue(w, i, at, 0)
    rendering.render(w, 1.005)
    assert w.counts[STARTED] == 1
    rendering.render(w, math.inf)
    assert w.users["ready"].tolist() == pytest.approx([1.05, 1.06, 1.10])


def test_what_a_worker_claimed_ahead_waited_until_its_claim() -> None:
    """One that is claimed in time is rendered whole, whenever its worker comes to it."""
    w = play(poisson(1000, 40), of=fleet(workers=1)).world
    w.workers["free"][0], w.workers["mean_s"][0] = 30.9, 0.1
    for i in range(40):
        enqueue(w, i, 1.0, 0)
    rendering.render(w, 31.83)
    assert w.counts[STARTED] == 19  # eighteen of the first claim, which was in second 30.9
    assert w.counts[COMPLETING] == 0
    assert w.flows[WORKER] == pytest.approx(18 * 0.05 + 0.05 * 5 / 6)
    assert w.counts[DEGRADED] == 1


@pytest.mark.parametrize(("waited", "twice"), [(29.9, 0), (30.1, 1)])
def test_a_job_that_waited_long_is_completed_later(waited: float, twice: int) -> None:
    """A sixth less CPU before, a whole render after; `degrade_s` from both sides."""
    w = play(poisson(1000, 1), of=fleet(workers=1)).world
    w.workers["free"][0] = 1.0 + waited
    enqueue(w, 0, 1.0, 0)
    rendering.render(w, math.inf)
    assert w.counts[COMPLETING] == w.counts[DEGRADED] == twice
    assert w.flows[WORKER] == pytest.approx(0.05 * (5 / 6 + 1 if twice else 1.0))


def test_a_render_costs_what_its_size_costs() -> None:
    """By the points, not by the line."""
    line = Line(fixed_ms=1.0, points=((100_000, 40.0), (300_000, 80.0)))
    cost = costs()
    stores = cost.stores["file"]
    stores = replace(stores, worker=replace(stores.worker, drain=line))
    w = play(poisson(1000, 1, size=200_000), of=fleet(workers=1), cost=replace(cost, stores={"file": stores})).world
    enqueue(w, 0, 1.0, 0)
    rendering.render(w, math.inf)
    assert w.flows[WORKER] == pytest.approx(0.06)


def test_a_slow_machine_renders_slowly() -> None:
    """At half the speed it takes twice the time."""
    w = play(poisson(1000, 1)).world
    w.machines["render_speed"] = 0.5
    enqueue(w, 0, 1.0, 0)
    rendering.render(w, math.inf)
    assert w.users["ready"][0] == pytest.approx(1.1)


def test_a_backlog_is_claimed_ahead() -> None:
    """As much as a worker finishes in a second: one job while it knows none, then what renders of 50 ms allow."""
    assert (rendering.AHEAD_S, rendering.AHEAD_MAX) == (ahead.AHEAD_S, ahead.AHEAD_MAX)
    w = play(poisson(1000, 200), of=fleet(workers=1)).world
    for i in range(200):
        enqueue(w, i, 1.0, 0)
    rendering.render(w, 1.01)
    assert w.counts[LEASED] == w.workers["batch"][0] == 2
    most = 0
    for tick in range(20, 100):
        rendering.render(w, tick * 0.05)
        most = max(most, int(w.workers["batch"][0]))
    assert most == 17
    rendering.render(w, math.inf)
    assert w.counts[LEASED] == 0


def test_a_claim_takes_so_many_flags_and_only_a_claim_takes_them() -> None:
    """Two hundred pairs at one worker: flags wait for its claims, from both sides of the limit of one."""
    assert rendering.FLAGS_MAX == FLAGS_MAX
    w = play(poisson(1000, 200), of=fleet(workers=1)).world
    w.counts[FLAGGED] = 200
    for i in range(200):
        enqueue(w, i, 1.0, 0)
    left = []
    for tick in range(20, 32):
        rendering.render(w, tick * 0.05 + 0.01)
        left.append(int(w.counts[FLAGGED]))
    assert left[:6] == [136, 136, 136, 72, 72, 72]  # a claim of three jobs, then one of three again
    w.counts[FLAGGED] = 63
    rendering.render(w, 3.0)
    assert w.counts[FLAGGED] == 0


def test_a_worker_without_a_job_takes_all_flags() -> None:
    """The bell calls it; one that renders does not hear it."""
    w = play(poisson(1000, 2), of=fleet(workers=1)).world
    w.counts[FLAGGED] = 100
    rendering.render(w, 1.0)
    assert w.counts[FLAGGED] == 0
    enqueue(w, 0, 1.0, 0)
    rendering.render(w, 1.01)
    w.counts[FLAGGED] = 5
    rendering.render(w, 1.04)
    assert w.counts[FLAGGED] == 5
    rendering.render(w, 1.06)
    assert w.counts[FLAGGED] == 0


def test_the_heap_gives_the_worker_that_is_free_first() -> None:
    """After pushes in random order, and after one is dropped from the middle."""
    made = play(poisson(10, 1), of=fleet(workers=20, workers_max=0))
    w, rng = made.world, np.random.default_rng(3)
    times = rng.permutation(20).astype(float)
    for worker, at in enumerate(times.tolist()):
        rendering.push(w, worker, at)
    gone = int(w.heap[7])
    rendering.drop(w, 7)
    found = []
    while len(found) < 19:
        found.append(float(w.workers["free"][w.heap[0]]))
        rendering.drop(w, 0)
    assert found == sorted(set(times.tolist()) - {times[gone]})


def behind(rate: float, jobs: int) -> World:
    """One worker that has so many jobs; its media objects have 50 KB, and go over a link of this rate."""
    w = play(poisson(1000, jobs), of=fleet(workers=1, store_bytes_s=rate)).world
    w.users["gone"] = True
    for i in range(jobs):
        enqueue(w, i, 0.0, 0)
    return w


def played(w: World, until_s: float) -> World:
    """Ticks without arrivals."""
    for tick in range(round(until_s / 0.05)):
        advance(w, tick, len(w.users))
    return w


def test_a_worker_whose_jobs_wait_for_the_link_renders_nothing() -> None:
    """Renders of 50 ms, PUTs of a second each: two jobs in hand, and a third when the first is stored."""
    assert config.Config().jobs_max == rendering.SLOTS
    w = played(behind(50_000.0, 4), 0.5)
    assert (w.counts[STARTED], w.counts[SHOWING], w.counts[PASSING], w.counts[QUEUED]) == (2, 2, 2, 2)
    assert w.workers["free"][0] == math.inf
    played(w, 6.0)
    assert (w.counts[STARTED], w.counts[SHOWING], w.counts[PASSING]) == (4, 0, 0)
    assert w.users["ready"].max() == pytest.approx(4.05, abs=0.11)  # the link is never idle


def test_a_wide_link_delays_no_render() -> None:
    """Renders of 50 ms, PUTs of a millisecond."""
    w = played(behind(50_000_000.0, 4), 1.0)
    assert sorted(w.users["ready"].tolist()) == pytest.approx([0.051, 0.101, 0.151, 0.201], abs=1e-3)


def test_a_media_object_without_full_is_smaller_and_completed_later() -> None:
    """After it is stored, its job is queued again, and the whole object goes over the link."""
    w = behind(50_000.0, 1)
    w.users["at"][0] = -31.0
    played(w, 0.75)
    assert (w.counts[SHOWING], w.counts[COMPLETING]) == (1, 1)
    assert w.users["ready"][0] == pytest.approx(0.05 * 5 / 6 + 5 / 8, abs=0.06)
    played(w, 3.0)
    assert (w.counts[SHOWING], w.counts[QUEUED]) == (0, 0)


def test_jobs_of_a_worker_that_died_are_broken_off() -> None:
    """Those on the link and those that render; nobody else's."""
    w = played(behind(50_000.0, 4), 0.5)
    assert sorted(rendering.broken_off(w, 0)) == [0, 1]
    assert (w.counts[SHOWING], w.counts[PASSING]) == (0, 0)
    assert rendering.broken_off(w, 0) == []
