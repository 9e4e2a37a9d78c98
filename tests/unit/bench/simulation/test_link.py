"""The way to the store: all transfers share its bytes, none are lost, and an idle link serves at once."""

import numpy as np
import pytest

from bench.simulation.link import cut, limited, pass_on, send
from bench.simulation.world import LINK, NOBODY, PASSING, STORED, TICK, World
from tests.unit.bench.simulation.simulated import fleet, play, poisson

RATE = 100_000.0
TICK_S = 0.05


def world(count: int = 4) -> World:
    """A link of 100 KB/s."""
    w = play(poisson(10, count), of=fleet(store_bytes_s=RATE)).world
    w.head[:] = NOBODY
    return w


def passed(w: World, sizes: list[tuple[float, float]], until_s: float) -> list[float]:
    """When each of these transfers (beginning, bytes) has passed."""
    begun = 0
    for tick in range(round(until_s / TICK_S)):
        w.counts[TICK] = tick
        pass_on(w, (tick + 1) * TICK_S)
        while begun < len(sizes) and sizes[begun][0] < (tick + 1) * TICK_S:
            send(w, begun, sizes[begun][1], sizes[begun][0], STORED)
            begun += 1
    assert w.counts[PASSING] == 0
    return [float(w.users["at"][i]) for i in range(len(sizes))]


def test_only_a_fleet_with_a_limit_has_a_link() -> None:
    """Without one nothing waits."""
    assert limited(world())
    assert not limited(play(poisson(10, 2)).world)


def test_one_transfer_has_the_link_alone() -> None:
    """Within a tick, and over many of them, from the instant at which it begins."""
    assert passed(world(), [(0.01, 1000.0), (0.12, 20_000.0)], 1.0) == pytest.approx([0.02, 0.32])


def test_two_transfers_have_half_each() -> None:
    """The shorter one takes twice as long as alone, the longer one has the rest; a third comes later."""
    times = passed(world(), [(0.0, 10_000.0), (0.0, 30_000.0), (1.0, 5_000.0)], 2.0)
    assert times == pytest.approx([0.2, 0.4, 1.05], abs=TICK_S)


def test_no_byte_is_lost_or_made() -> None:
    """A link that always has work is as fast as its rate, whatever comes when."""
    rng = np.random.default_rng(2)
    sizes = list(zip(np.sort(rng.uniform(0, 2, 80)).tolist(), rng.uniform(1e3, 9e3, 80).tolist(), strict=True))
    sizes[0] = (0.0, 9000.0)
    times = passed(world(80), sizes, 8.0)
    assert max(times) == pytest.approx(sum(size for _, size in sizes) / RATE, rel=0.01)


def test_the_mean_stay_is_that_of_processor_sharing() -> None:
    """M/G/1-PS: mean service / (1 - load), whatever the distribution of sizes."""
    rng = np.random.default_rng(5)
    count, load, mean = 6000, 0.7, 50_000.0
    arrives = np.cumsum(rng.exponential(mean / RATE / load, count))
    sizes = rng.choice([mean / 2, mean * 2.5], count, p=[0.75, 0.25])
    w = play(poisson(10, count), of=fleet(store_bytes_s=RATE)).world
    w.head[:] = NOBODY
    done, begun, tick = 0, 0, 0
    while done < count:
        w.counts[TICK] = tick % (len(w.head) - 1)
        done, begun, tick = _one(w, tick, arrives, sizes, begun)
    stays = w.users["at"] - arrives
    assert float(stays.mean()) == pytest.approx(mean / RATE / (1 - load), rel=0.1)


def _one(w: World, tick: int, arrives: np.ndarray, sizes: np.ndarray, begun: int) -> tuple[int, int, int]:  # type: ignore[type-arg]
    pass_on(w, (tick + 1) * TICK_S)
    while begun < len(arrives) and arrives[begun] < (tick + 1) * TICK_S:
        send(w, begun, float(sizes[begun]), float(arrives[begun]), STORED)
        begun += 1
    return begun - int(w.counts[PASSING]), begun, tick + 1


def test_a_transfer_that_is_cut_leaves_the_link_to_the_others() -> None:
    """The first of three; one that is not there is not cut."""
    w = world()
    for i in range(3):
        send(w, i, 10_000.0 * (i + 2), 0.0, STORED)
    assert cut(w, 0)
    assert not cut(w, 3)
    assert w.counts[PASSING] == 2
    pass_on(w, 10.0)
    assert w.counts[PASSING] == 0
    assert float(w.users["at"][1]) < float(w.users["at"][2]) == float(w.flows[LINK])
