"""A burst in virtual time: nobody is lost or doubled, whatever breaks; a seed determines everything."""

import numpy as np
import pytest

from bench.errors import BenchError
from bench.simulation.faults import parsed
from bench.simulation.fleet import Fleet, Machines
from bench.simulation.run import Broken
from bench.simulation.world import ACCEPTED, IN_FLIGHT
from tests.unit.bench.simulation.simulated import fleet, play, poisson

PAIRS = 120


def test_every_pair_is_accepted_and_rendered() -> None:
    """A calm burst: an upload takes what its phone takes and a little more; its picture comes after it."""
    result = play(poisson(20, PAIRS)).play()
    took = result.finished - result.arrives
    assert np.isfinite(result.ready).all()
    assert took.min() > 1.0
    assert took.max() < 1.2
    assert (result.ready > result.finished).all()
    assert (result.shed, result.lost, result.given_up) == (0, 0, 0)
    assert result.cpu_s["worker"] == pytest.approx(PAIRS * 0.05, rel=0.01)


def test_a_seed_determines_the_run() -> None:
    """The same seed gives the same times; another one does not, where costs are distributed."""
    first, again = (play(poisson(20, 30), seed=3).play() for _ in range(2))
    assert first.finished.tolist() == again.finished.tolist()
    assert first.seconds == again.seconds


@pytest.mark.parametrize("link", [None, 2_000_000.0])
@pytest.mark.parametrize("fault", ["node@2", "node:2@2+3", "zone:0@2+4", "redis@1+3", "store@1+4", "scaler@0+3"])
def test_nobody_is_lost_when_something_breaks(fault: str, link: float | None) -> None:
    """Every user has his answer, and every accepted pair is rendered, after retries."""
    machines = {
        "front": Machines(count=2, cores=1, zones=2, lb=1, redis=1),
        "node": Machines(count=4, cores=1, zones=2, node=1),
        "worker": Machines(count=2, cores=1, zones=2, worker=1),
    }
    of = Fleet(machines=machines, store="file", settings=fleet().settings, store_bytes_s=link)
    result = play(poisson(25, PAIRS), of=of).play([parsed(fault)])
    accepted = np.isfinite(result.finished)
    assert accepted.sum() + result.given_up == PAIRS
    assert accepted.sum() > PAIRS * 0.9
    assert np.isfinite(result.ready[accepted]).all()
    if fault.startswith(("node", "zone")):
        assert result.lost > 0


def test_an_overloaded_store_sheds_and_phones_come_back() -> None:
    """A link of two pairs a second: nodes refuse, phones wait as they are told, some give up."""
    of = fleet(nodes=1, store_bytes_s=200_000.0)
    result = play(poisson(20, 100, send_s=0.3), of=of).play()
    assert result.shed > 0
    assert result.shed_s.sum() == result.shed
    assert np.isfinite(result.finished).sum() + result.given_up == 100


def test_a_limited_link_is_used_and_passes_no_more_than_it_can() -> None:
    """All bytes of pairs and pictures take as long as the link needs for them; renders wait while uploads come."""
    of = fleet(nodes=2, store_bytes_s=1_000_000.0)
    result = play(poisson(40, PAIRS, send_s=0.3), of=of).play()
    first_s = PAIRS * (100_000 + 50_000) / 1e6
    assert first_s < result.ready.max() < first_s * 1.1
    free = play(poisson(40, PAIRS, send_s=0.3)).play()
    assert np.median(result.ready - result.finished) > 10 * np.median(free.ready - free.finished)


def test_a_slow_store_takes_its_time() -> None:
    """Ten times slower PUTs show in the upload times."""
    fast, slow = (play(poisson(20, 40), of=fleet(store_slowdown=times)).play() for times in (1.0, 100.0))
    assert np.median(slow.finished - fast.finished) == pytest.approx(0.2, rel=0.2)


def test_what_does_not_add_up_is_an_error() -> None:
    """Conservation is checked at each tick, Little's law at the end."""
    broken = play(poisson(20, 20))
    broken.world.counts[ACCEPTED] += 1
    with pytest.raises(Broken, match="do not add up"):
        broken.play()
    area = play(poisson(20, 40))
    area._area += 1000.0
    with pytest.raises(Broken, match="Little"):
        area.play()
    assert area.world.counts[IN_FLIGHT] == 0


def test_a_fault_of_what_is_not_there_is_refused() -> None:
    """The fleet has three nodes."""
    with pytest.raises(BenchError, match="the fleet has 3"):
        play(poisson(20, 5)).play([parsed("node:3@1")])
