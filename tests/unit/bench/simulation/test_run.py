"""A burst in virtual time: nobody is lost or doubled, whatever breaks; a seed determines everything."""

import numpy as np
import pytest
from msgspec.structs import replace

from bench.simulation.arrivals import Arrivals
from bench.simulation.faults import parsed
from bench.simulation.fleet import Fleet, Machines
from bench.simulation.run import Broken
from bench.simulation.world import ACCEPTED, IN_FLIGHT, QUEUED
from tests.unit.bench.simulation.simulated import costs, fleet, here, play, poisson

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
    twice = play(poisson(20, 20))
    twice.world.counts[QUEUED] += 1
    with pytest.raises(Broken, match="renders of 0 pairs"):
        twice.play()
    area = play(poisson(20, 40))
    area._area += 1000.0
    with pytest.raises(Broken, match="Little"):
        area.play()
    assert area.world.counts[IN_FLIGHT] == 0


@pytest.mark.parametrize("cores", [0.5, 0.2, 0.1, 0.05])
def test_few_cores_take_their_time(cores: float) -> None:
    """Everything on a part of one core: figures come out, and no core does more than it can."""
    result = play(poisson(20, PAIRS, send_s=0.1), of=here(cores=cores), cost=costs(node_ms=4.0, render_ms=35.0)).play()
    accepted = np.isfinite(result.finished)
    assert accepted.sum() + result.given_up == PAIRS
    assert np.isfinite(result.ready[accepted]).all()
    assert sum(result.cpu_s.values()) <= cores * result.seen[accepted].max() * 1.02


@pytest.mark.parametrize(("rate", "cores"), [(2000, 2), (2000, 1), (500, 1)])
def test_more_than_the_cores_can_take_is_shed(rate: int, cores: int) -> None:
    """A refusal takes its time too, where balancers and nodes are behind."""
    arrivals = poisson(rate, 5 * rate, send_s=0.1)
    of = here(cores=cores, lbs=2, nodes=2, settings={"SNAPSURGE_INGEST_IN_FLIGHT_REQUESTS_MAX": "200"})
    result = play(arrivals, of=of, cost=costs(node_ms=4.0, render_ms=1.0)).play()
    assert result.shed > 0
    assert np.isfinite(result.finished).sum() + result.given_up == 5 * rate


@pytest.mark.parametrize("many", [{"lbs": 1000}, {"nodes": 1000}, {"workers": 10_000}])
def test_idle_programs_of_more_cores_than_there_are(many: dict[str, int]) -> None:
    """On two cores."""
    cost = costs()
    busy = {"idle_cores": 0.005}
    stores = cost.stores["file"]
    stores = replace(stores, node=replace(stores.node, **busy), worker=replace(stores.worker, **busy))
    cost = replace(cost, lb=replace(cost.lb, **busy), stores={"file": stores})
    result = play(poisson(20, 50, send_s=0.1), of=here(**many), cost=cost).play()
    assert np.isfinite(result.ready).all()


@pytest.mark.parametrize("tick", [0.05, 0.1])
def test_arrivals_in_step_with_the_ticks_see_that_cores_are_short(tick: float) -> None:
    """Renders shorter than a tick, on a fifth of the cores that they need."""
    count = 100
    arrives = tick * np.arange(1, count + 1)
    arrivals = Arrivals(arrives, np.full(count, 100_000, np.int32), np.full(count, 0.04, np.float32), ())
    result = play(arrivals, of=here(cores=0.034 / tick / 5), cost=costs(render_ms=34.0)).play()
    assert result.ready.max() > 4 * arrives[-1]
    rich = play(arrivals, of=here(cores=16), cost=costs(render_ms=34.0)).play()
    assert rich.ready.max() < arrives[-1] + 0.2


def test_workers_cpu_counts_until_the_last_picture_is_seen() -> None:
    """As in a replay's report: what completes pictures after that is told apart."""
    of = here(cores=16, workers=1, settings={"SNAPSURGE_PROCESSORS_DEGRADE_S": "1"})
    result = play(poisson(60, 200, send_s=0.1), of=of).play()
    assert 200 * 0.05 * 5 / 6 < result.cpu_s["worker"] < 200 * 0.05 * 1.06  # one in 16 claims completes before
    assert result.cpu_s["worker"] + result.later_s > 200 * 0.05 * 1.5
    calm = play(poisson(10, 40, send_s=0.1), of=of).play()
    assert (calm.cpu_s["worker"], calm.later_s) == (pytest.approx(40 * 0.05), 0.0)
