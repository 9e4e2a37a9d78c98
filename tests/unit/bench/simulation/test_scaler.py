"""The simulated autoscaler decides by `processors/scaling/sizing.py`."""

from bench.simulation.uploads import enqueue
from bench.simulation.world import FLAGGED
from tests.unit.bench.simulation.simulated import fleet, play, poisson

COLD = {"SNAPSURGE_PROCESSORS_WORKERS_WARM": "2", "SNAPSURGE_PROCESSORS_SCALE_DOWN_S": "3"}


def test_workers_follow_the_queue_within_the_limits() -> None:
    """From the warm floor up at once as a backlog comes, and down after it is gone; a new worker takes its start."""
    made = play(poisson(1000, 3000), of=fleet(workers=8, workers_max=6, settings=COLD), window_s=0.0)
    scaler = made.scaler
    assert scaler.workers == 2
    for i in range(3000):
        enqueue(made.world, i, 0.5, 0)
    depth = scaler.decide(31.0)
    assert (depth.ready, depth.oldest_s) == (3000, 30.5)
    scaler.decide(32.0)
    assert scaler.workers == scaler.desired == 6
    assert max(made.world.workers["free"][made.world.heap[:6]].tolist()) > 31.0
    made.world.jobs[:] = -1
    made.world.counts[5] = 0
    for second in range(33, 60):
        scaler.decide(float(second))
    assert scaler.workers < 6


def test_flags_count_as_jobs_that_wait() -> None:
    """As in the depth that the autoscaler publishes; they have no age here."""
    made = play(poisson(1000, 3))
    enqueue(made.world, 0, 0.5, 0)
    made.world.counts[FLAGGED] = 4
    assert made.scaler.depth(1.5).ready == 5
    assert made.scaler.depth(1.5).oldest_s == 1.0


def test_a_scaler_that_is_away_decides_nothing() -> None:
    """The queue is still measured."""
    made = play(poisson(1000, 3000), of=fleet(workers=8, workers_max=6, settings=COLD))
    made.scaler.away.append((0.0, 40.0))
    for i in range(3000):
        enqueue(made.world, i, 0.5, 0)
    assert made.scaler.decide(31.0).ready == 3000
    assert made.scaler.workers == 2
    made.scaler.decide(41.0)
    assert made.scaler.workers == 6


def test_workers_of_a_lost_machine_are_gone_until_it_is_back() -> None:
    """Two machines with a worker each."""
    made = play(poisson(10, 3), of=fleet(workers=2))
    machine = int(made.world.workers["machine"][0])
    assert made.scaler.forget(machine) == []
    assert made.scaler.workers == 1
    made.scaler.decide(1.0)
    assert made.scaler.workers == 1
    made.scaler.remember([0])
    made.scaler.decide(2.0)
    assert made.scaler.workers == 2
