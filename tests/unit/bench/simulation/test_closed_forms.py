"""The simulation beside closed forms: waiting times of M/M/c, M/D/c and M/G/1 queues, and Erlang's loss formula."""

import math
from collections import deque

import numpy as np
import pytest

from bench.simulation import admitting, phones
from bench.simulation.admitting import FIRST
from bench.simulation.rendering import render
from bench.simulation.uploads import enqueue
from bench.simulation.world import SPREAD, WORKER
from tests.unit.bench.simulation.simulated import costs, fleet, play, poisson

JOBS = 12_000
STEPS = np.linspace(0.0, 1.0, SPREAD)
EXPONENTIAL = tuple(-np.log1p(-np.minimum(STEPS, 1 - 0.34 / SPREAD)))


def waits(rate: float, servers: int, spread: tuple[float, ...]) -> tuple[float, float, float]:
    """The mean wait of jobs that come at random to workers; mean and mean square of the service time, in seconds."""
    of = fleet(workers=servers, settings={"SNAPSURGE_PROCESSORS_DEGRADE_S": "1e9"})
    made = play(poisson(rate, JOBS), of=of, cost=costs(render_ms=1000.0, spread=spread))
    w = made.world
    phones.seed(1)
    for i in range(JOBS):
        enqueue(w, i, float(w.users["arrives"][i]), 0)
    render(w, math.inf)
    services, quantiles = w.flows[WORKER] / JOBS, w.spreads[2]
    low, high = quantiles[:-1], quantiles[1:]
    square = float(((low**2 + low * high + high**2) / 3).mean())
    mean = float(((low + high) / 2).mean())
    assert services == pytest.approx(mean, rel=0.03)
    started = w.users["ready"].astype(np.float64) - w.users["arrives"]
    return float(started.mean()) - mean, mean, square


def erlang_c(servers: int, offered: float) -> float:
    """The probability to wait."""
    terms = [offered**k / math.factorial(k) for k in range(servers)]
    last = offered**servers / math.factorial(servers) * servers / (servers - offered)
    return last / (sum(terms) + last)


def erlang_b(servers: int, offered: float) -> float:
    """The probability to be lost."""
    lost = 1.0
    for k in range(1, servers + 1):
        lost = offered * lost / (k + offered * lost)
    return lost


@pytest.mark.parametrize("spread", [(), EXPONENTIAL, (0.5, 0.9, 1.0, 1.1, 2.0)])
def test_one_worker_waits_as_pollaczek_and_khinchine_say(spread: tuple[float, ...]) -> None:
    """M/G/1: the wait follows from the first two moments of the service time."""
    rate = 0.6
    wait, mean, square = waits(rate, 1, spread)
    assert wait == pytest.approx(rate * square / (2 * (1 - rate * mean)), rel=0.12)


def test_many_workers_wait_as_erlang_says() -> None:
    """M/M/c, with the truncated tail of the service times taken into account (Allen and Cunneen)."""
    rate, servers = 3.0, 4
    wait, mean, square = waits(rate, servers, EXPONENTIAL)
    variation = square / mean**2 - 1
    markov = erlang_c(servers, rate * mean) * mean / (servers - rate * mean)
    assert wait == pytest.approx(markov * (1 + variation) / 2, rel=0.15)


def test_equal_jobs_wait_half_as_long() -> None:
    """M/D/c by Cosmetatos' approximation."""
    rate, servers = 3.2, 4
    wait, mean, _ = waits(rate, servers, ())
    load = rate * mean / servers
    markov = erlang_c(servers, rate * mean) * mean / (servers - rate * mean)
    factor = (1 - load) * (servers - 1) * (math.sqrt(4 + 5 * servers) - 2) / (16 * load * servers)
    assert wait == pytest.approx(markov / 2 * (1 + factor), rel=0.12)


def test_a_full_node_refuses_as_erlang_says() -> None:
    """Ten places of which first tries may take nine, uploads of one second, no retries."""
    rate, places = 6.0, 9
    arrivals = poisson(rate, JOBS, send_s=0.0, size=50_000)
    w = play(arrivals, of=fleet(nodes=1, settings={"SNAPSURGE_INGEST_IN_FLIGHT_REQUESTS_MAX": "10"})).world
    inside: deque[tuple[float, int]] = deque()
    refused = 0
    for i, now in enumerate(arrivals.arrives.tolist()):
        while inside and inside[0][0] <= now:
            admitting.release(w, 0, inside.popleft()[1])
        if admitting.admit(w, 0, i, FIRST, now):
            inside.append((now + 1.0, i))
        else:
            refused += 1
    assert refused / JOBS == pytest.approx(erlang_b(places, rate), abs=0.012)
