"""What a fault begins and ends: who is lost, what waits, and in which order it goes on."""

import math

import numpy as np
import pytest

from bench.errors import BenchError
from bench.simulation import breaking
from bench.simulation.breaking import chain, rechain
from bench.simulation.faults import parsed
from bench.simulation.fleet import Fleet, Machines
from bench.simulation.rendering import COMPLETE, render
from bench.simulation.run import Play
from bench.simulation.uploads import enqueue
from bench.simulation.world import DEGRADED, LEASED, QUEUED, STARTED, UNQUEUED
from ingest import announcing
from tests.unit.bench.simulation.simulated import costs, fleet, here, play, poisson


def queued(count: int, *, shards: int = 1, workers: int = 2) -> Play:
    """So many jobs that are ready since second 1, in two classes."""
    machines = {"here": Machines(count=shards, cores=4, lb=1, node=1, worker=workers, redis=1)}
    made = play(poisson(1000, count), of=Fleet(machines=machines, store="file", settings=fleet().settings))
    for i in range(count):
        enqueue(made.world, i, 1.0 + i / 1000, i % 2)
    return made


def test_a_queue_can_be_read_and_written() -> None:
    """Also an empty one."""
    w = queued(6).world
    assert (chain(w, 0), chain(w, 1), chain(w, 2)) == ([0, 2, 4], [1, 3, 5], [])
    rechain(w, 0, [4, 0])
    rechain(w, 1, [])
    assert (chain(w, 0), chain(w, 1)) == ([4, 0], [])
    enqueue(w, 2, 2.0, 0)
    enqueue(w, 5, 2.0, 1)
    assert (chain(w, 0), chain(w, 1)) == ([4, 0, 2], [5])


def test_jobs_of_a_redis_that_is_away_are_not_claimed() -> None:
    """One of two shards: the others are, and after it is back each job has its place; nodes report a second later."""
    assert breaking.AGAIN_S == announcing.AWAY_S
    made = queued(40, shards=2, workers=1)
    w = made.world
    mine = {i for i in range(40) if w.users["slot"][i] % 2 == 1}
    assert 0 < len(mine) < 40
    made.breaking.lose_redis(1, 2.0, 9.0)
    assert (w.counts[QUEUED], w.counts[UNQUEUED]) == (40 - len(mine), len(mine))
    assert not mine & {*chain(w, 0), *chain(w, 1)}
    assert w.shard_back.tolist() == [0.0, 10.0]
    assert made.scaler.away == [(2.0, 9.0)]
    made.breaking.mend_redis(1, 9.0, 9.0)
    assert (w.counts[QUEUED], w.counts[UNQUEUED]) == (40, 0)
    assert (chain(w, 0), chain(w, 1)) == (list(range(0, 40, 2)), list(range(1, 40, 2)))


def test_a_redis_is_away_until_its_last_fault_ends() -> None:
    """Two faults that overlap."""
    made = queued(10)
    made.breaking.lose_redis(0, 2.0, 9.0)
    made.breaking.lose_redis(0, 4.0, 6.0)
    made.breaking.mend_redis(0, 6.0, 6.0)
    assert made.world.counts[QUEUED] == 0
    assert made.world.shard_back[0] == 10.0
    made.breaking.mend_redis(0, 9.0, 9.0)
    assert made.world.counts[QUEUED] == 10


def test_nothing_is_claimed_ahead_of_a_redis_that_is_away() -> None:
    """What a worker has in hand is finished."""
    made = queued(100, workers=1)
    w = made.world
    w.workers["mean_s"] = 0.1
    render(w, 1.3)
    assert w.counts[LEASED] > 0
    started = int(w.counts[STARTED])
    made.breaking.lose_redis(0, 1.3, 9.0)
    render(w, 9.0)
    assert (w.counts[LEASED], w.counts[STARTED]) == (0, started)
    made.breaking.mend_redis(0, 9.0, 9.0)
    render(w, math.inf)
    assert w.counts[STARTED] == 100
    assert (w.users["ready"] > 9.0).sum() == 100 - started


@pytest.mark.parametrize("seconds", [2, 5])
def test_busy_workers_lose_the_time_of_an_outage(seconds: int) -> None:
    """Two workers with as much as they can do: the last picture is ready later by the outage, and is rendered once."""
    arrivals = poisson(60, 300, send_s=0.1)
    calm = play(arrivals, of=here(cores=16)).play()
    away = play(arrivals, of=here(cores=16)).play([parsed(f"redis@2+{seconds}")])
    late_s = away.ready.max() - calm.ready.max()
    assert seconds <= late_s <= seconds + 1.1
    assert not ((away.ready > 2.2) & (away.ready < 2 + seconds)).any()
    assert away.cpu_s["worker"] == pytest.approx(calm.cpu_s["worker"])
    assert max(second.ready for second in away.seconds) <= 2 * 300


def test_a_render_without_full_begins_anew_when_its_worker_died() -> None:
    """It waits to be completed already: it leaves that queue, so that it is queued once."""
    made = queued(3, workers=1)
    w = made.world
    w.workers["free"] = 40.0
    render(w, 40.12)
    assert (w.counts[STARTED], w.counts[DEGRADED]) == (3, 3)
    last = int(w.workers["job"][0])
    made.breaking.lose_zone(0, 40.12, math.inf)
    assert chain(w, COMPLETE) == [i for i in (0, 2, 1) if i != last]
    assert (w.counts[STARTED], w.counts[UNQUEUED], w.counts[QUEUED], w.counts[DEGRADED]) == (2, 1, 2, 2)


def test_a_burst_that_is_rendered_without_full_survives_a_zone_and_a_redis() -> None:
    """Everybody has a picture, and conservation holds in each tick."""
    machines = {"here": Machines(count=2, zones=2, cores=4, lb=1, node=1, worker=1, redis=1)}
    settings = fleet().settings | {"SNAPSURGE_PROCESSORS_DEGRADE_S": "1"}
    of = Fleet(machines=machines, store="file", settings=settings)
    faults = [parsed(text) for text in ("zone:0@3+2", "redis:1@4+3", "redis:0@2.5+1")]
    result = play(poisson(50, 250, send_s=0.1), of=of, cost=costs(render_ms=80.0)).play(faults)
    assert np.isfinite(result.ready[np.isfinite(result.finished)]).all()
    assert result.later_s > 0


def test_a_fault_of_what_is_not_there_is_refused() -> None:
    """The fleet has three nodes."""
    with pytest.raises(BenchError, match="the fleet has 3"):
        play(poisson(20, 5)).play([parsed("node:3@1")])
