"""Cores are shared by weight between what serves uploads and the workers."""

import numpy as np
import pytest

from bench.simulation.cores import Cores
from tests.unit.bench.simulation.simulated import fleet, play, poisson

TICK = 0.05


def shared(
    cores: float, work_s: float, workers: int, *, servers: float = 4.0, beside: float = 0.0, rendered_s: float = 0.0
) -> tuple[float, float, float]:
    """Speed of uploads, speed of workers, CPU seconds left undone, on one machine."""
    w = play(poisson(10, 2), of=fleet(nodes=1, lbs=1, workers=1)).world
    made = Cores(np.full(3, cores), np.full(3, servers), np.full(3, beside), np.full(3, 4.0))
    w.machines["work"], w.machines["rendered"] = work_s, rendered_s
    made.share(w, TICK, np.array([workers] * 3, np.int32))
    assert w.machines["work"][0] == w.machines["rendered"][0] == 0.0
    return float(w.machines["speed"][0]), float(w.machines["render_speed"][0]), float(made.backlog[0])


def test_enough_cores_slow_nobody() -> None:
    """Half a core of uploads and one worker on two cores."""
    assert shared(2, 0.5 * TICK, 1) == (1.0, 1.0, 0.0)


def test_workers_get_what_uploads_leave() -> None:
    """Half a core of uploads beside two workers on two cores: 0.75 of a core each."""
    assert shared(2, 0.5 * TICK, 2) == pytest.approx((1.0, 0.75, 0.0), rel=1e-6)


def test_workers_keep_their_part_under_overload() -> None:
    """Three cores of uploads beside two workers: weights of 1,024 and 335 decide, and work is left."""
    uploads, renders, left = shared(2, 3 * TICK, 2)
    part = 2 * 3 * 1024 / (3 * 1024 + 2 * 335)
    assert uploads == pytest.approx(part / 3)
    assert renders == pytest.approx((2 - part) / 2)
    assert left == pytest.approx((3 - part) * TICK)


def test_a_program_gets_no_more_than_a_core() -> None:
    """Work of five cores for one thread: one core, whatever is idle."""
    _, renders, left = shared(4, 5 * TICK, 1, servers=1.0)
    assert (renders, left) == pytest.approx((1.0, 4 * TICK))


def test_polls_for_pictures_take_their_part() -> None:
    """Of the machines that poll, and until they end."""
    w = play(poisson(10, 2), of=fleet(nodes=1, lbs=1, workers=1)).world
    made = Cores(np.ones(3), np.ones(3), np.zeros(3), np.ones(3))
    for polls, part in ((0.5, 0.25), (1.0, 0.5), (0.0, 0.0)):
        made.watch([1, 2], polls)
        made.share(w, TICK, np.ones(3, np.int32))
        assert w.machines["render_speed"].tolist() == pytest.approx([1.0, 1.0 - part, 1.0 - part])


def test_what_runs_beside_takes_its_cores() -> None:
    """Half a core is used by others."""
    assert shared(1, 0.0, 1, beside=0.5)[1] == pytest.approx(0.5)


def test_less_than_a_core_makes_a_lone_program_slow() -> None:
    """Also one of which nothing was seen in the tick before."""
    assert shared(0.2, 0.0, 0)[:2] == pytest.approx((0.2, 0.2))
    assert shared(0.2, 0.1 * TICK, 0)[:2] == pytest.approx((0.2, 0.1))


@pytest.mark.parametrize(("cores", "speed"), [(2.0, 1.0), (0.1, 0.1 / 0.6)])
def test_renders_between_two_ticks_count(cores: float, speed: float) -> None:
    """Of 0.6 ticks, begun and ended when nobody looked: a debt where there are not as many cores."""
    assert shared(cores, 0.0, 0, rendered_s=0.6 * TICK)[1] == pytest.approx(min(speed, cores))


def test_a_debt_is_paid_and_no_more() -> None:
    """One second of renders on half a core takes two seconds."""
    w = play(poisson(10, 2), of=fleet(nodes=1, lbs=1, workers=1)).world
    made = Cores(np.full(3, 0.5), np.ones(3), np.zeros(3), np.full(3, 2.0))
    w.machines["rendered"] = 1.0
    for _ in range(39):
        made.share(w, TICK, np.zeros(3, np.int32))
    assert made.renders.tolist() == pytest.approx([0.025] * 3)
    made.share(w, TICK, np.zeros(3, np.int32))
    assert made.renders.tolist() == pytest.approx([0.0] * 3)
