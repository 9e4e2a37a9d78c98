"""Synthetic bursts and what a replay offers of a trace."""

import random
import statistics

import pytest

from bench.traces.synthesis import UPLINKS, Shape, ShapeError, first_attempts, superpose, synthesize
from bench.traces.trace import Row

SEED = 7


def test_the_same_seed_gives_the_same_rows() -> None:
    """Nothing but the rng decides."""
    shape = Shape(posters=50)

    assert synthesize(shape, random.Random(SEED)) == synthesize(shape, random.Random(SEED))
    assert synthesize(shape, random.Random(SEED)) != synthesize(shape, random.Random(SEED + 1))


def test_a_burst_has_the_shape_asked_for() -> None:
    """Sorted, one arrival per user, sizes inside their bounds, medians and shares about right."""
    print("seed", SEED)  # noqa: T201 -- tests print their seed
    shape = Shape(posters=4000, median_s=10, sigma=0.5, capture_s=4, fanout_s=2, photo_bytes=100_000)
    rows = synthesize(shape, random.Random(SEED))

    assert list(rows) == sorted(rows, key=lambda row: row.t)
    assert len({row.u for row in rows}) == 4000
    assert all(shape.photo_bytes_min <= size <= shape.photo_bytes_max for row in rows for size in (row.f, row.b))
    assert all((row.n, row.s) == (1, 0) for row in rows)
    assert statistics.median(row.t for row in rows) / 1e6 == pytest.approx(15.2, abs=1)
    assert statistics.median(row.f for row in rows) == pytest.approx(100_000, rel=0.05)
    for uplink in UPLINKS:
        assert sum(row.up == uplink.bytes_per_s for row in rows) / 4000 == pytest.approx(uplink.share, abs=0.03)


def test_a_span_keeps_the_count_and_cuts_the_tail() -> None:
    """Whoever would post later is drawn again."""
    rows = synthesize(Shape(posters=500, span_s=20.0), random.Random(SEED))

    assert len(rows) == 500
    assert rows[-1].t <= 20e6


def test_a_span_nobody_fits_is_an_error() -> None:
    """Not an endless loop."""
    with pytest.raises(ShapeError, match="span-s"):
        synthesize(Shape(posters=1, span_s=1.0), random.Random(SEED))


def test_recorded_retries_are_not_offered() -> None:
    """The client retries itself; and a user posts once."""
    rows = [Row(1, "a", 1, 1, 1, 1), Row(2, "a", 1, 1, 1, 2), Row(3, "b", 1, 1, 1, 1), Row(4, "b", 1, 1, 1, 1)]

    assert [row.t for row in first_attempts(rows)] == [1, 3]


@pytest.mark.parametrize(("scale", "low", "high"), [(1, 200, 200), (3, 600, 600), (0.5, 70, 130), (1.5, 270, 330)])
def test_scaling_superposes_jittered_copies(scale: float, low: int, high: int) -> None:
    """More arrivals of other users, sorted, none before the moment, about as many as asked for."""
    print("seed", SEED)  # noqa: T201 -- tests print their seed
    rows = synthesize(Shape(posters=200), random.Random(SEED))
    scaled = superpose(rows, scale, random.Random(SEED))

    assert low <= len(scaled) <= high
    assert len({row.u for row in scaled}) == len(scaled)
    assert list(scaled) == sorted(scaled, key=lambda row: row.t)
    assert scaled[0].t >= 0
