"""The fits find the parameters of a synthetic burst within their stated error, and say when there are none."""

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.traces import fits
from bench.traces.synthesis import UPLINKS, Shape, Uplink, columns

SIGMAS = 4  # standard errors: beyond it once in 16,000 parameters


@pytest.mark.parametrize(
    "case",
    [
        {"median_s": 18.0, "sigma": 0.9, "capture_s": 8.0, "fanout_s": 480.0},
        {"median_s": 20.0, "sigma": 1.2, "capture_s": 8.0, "fanout_s": 60.0},
        {"median_s": 8.0, "sigma": 0.6, "capture_s": 4.0, "fanout_s": 3.0, "span_s": 30.0},
    ],
)
def test_parameters_are_found_within_their_stated_error(case: dict[str, float]) -> None:
    """Also when the span cuts the tail. What the error says is used: a long fan-out is known to a hundredth."""
    fit = fits.fit_arrivals(columns(Shape(posters=10_000, **case), random.Random(5)).t)

    assert fit is not None
    for name, error in fit.errors.items():
        if error is not None:
            assert abs(math.log(getattr(fit.arrivals, name) / case[name])) < SIGMAS * error, name
    assert fit.goodness.fits
    assert fit.goodness.sense.startswith("fits closely")
    if case["fanout_s"] > 4 * case["median_s"]:
        assert fit.errors["fanout_s"] is not None
        assert fit.errors["fanout_s"] < 0.01


def test_a_known_fanout_is_kept() -> None:
    """And helps to find the rest."""
    shape = Shape(posters=3000, fanout_s=480.0)
    t = columns(shape, random.Random(5)).t
    known, unknown = fits.fit_arrivals(t, 480.0), fits.fit_arrivals(t)

    assert known is not None
    assert unknown is not None
    assert known.arrivals.fanout_s == 480.0
    assert "fanout_s" not in known.errors
    assert known.arrivals.median_s == pytest.approx(18, rel=1)


@pytest.mark.parametrize("gap_s", [60, 300])
def test_two_waves_do_not_fit(gap_s: int) -> None:
    """As of two moments mixed, or of a push in two parts; one of the waves does."""
    one, two = (columns(Shape(posters=3000, sigma=0.5), random.Random(seed)).t for seed in (1, 2))
    mixed = fits.fit_arrivals(np.sort(np.concatenate([one, two + gap_s * 10**6])))
    alone = fits.fit_arrivals(one)

    assert mixed is not None
    assert alone is not None
    assert not mixed.goodness.fits
    assert mixed.goodness.sense.startswith("does not fit")
    assert alone.goodness.fits


def test_few_values_are_not_fitted_or_said_to_be_few() -> None:
    """Under the least count there is no fit; a little above, chance is as large as a misfit would be."""
    t = columns(Shape(posters=fits.COUNT_MIN), random.Random(1)).t
    fit = fits.fit_arrivals(t)

    assert fits.fit_arrivals(t[1:]) is None
    assert fits.fit_sizes(np.arange(1, 2 * fits.COUNT_MIN)) is None
    assert fit is not None
    assert fit.goodness.sense.startswith("too few to tell")


def test_goodness_is_judged_by_the_distance_and_by_chance() -> None:
    """The bounds of the words, from both sides, for many values and for few."""
    words = [fits.goodness(distance, 10**6).sense.split(":")[0] for distance in (0.02, 0.021, 0.05, 0.051)]
    assert words == ["fits closely", "fits roughly", "fits roughly", "does not fit"]
    assert [fits.goodness(distance, 100).fits for distance in (0.136, 0.137)] == [True, False]


def test_sizes_are_found_with_their_clipping() -> None:
    """The median and sigma of what was not clipped, and the limits."""
    shape = Shape(posters=10_000, photo_bytes=90_000, photo_sigma=0.6, photo_bytes_max=120_000)
    made = columns(shape, random.Random(5))
    fit = fits.fit_sizes(np.concatenate([made.f, made.b]))

    assert fit is not None
    assert fit.photo_bytes == pytest.approx(90_000, rel=0.02)
    assert fit.photo_sigma == pytest.approx(0.6, rel=0.03)
    assert (fit.photo_bytes_min, fit.photo_bytes_max) == (40_000, 120_000)
    assert fit.goodness.fits


def test_sizes_of_two_kinds_do_not_fit() -> None:
    """Small and large photos; one size alone fits."""
    rng = np.random.default_rng(1)
    two = np.rint(np.concatenate([rng.normal(10**5, 10**3, 5000), rng.normal(10**6, 10**4, 5000)])).astype(np.int64)
    mixed, same = fits.fit_sizes(two), fits.fit_sizes(np.full(500, 90_000))

    assert mixed is not None
    assert not mixed.goodness.fits
    assert same is not None
    assert same.goodness.fits
    assert same.photo_bytes == pytest.approx(90_000, rel=0.001)


def test_uplinks_are_classes() -> None:
    """Those that there are; ten of equal counts where every phone has its own."""
    made = columns(Shape(posters=20_000), random.Random(5)).up
    found = fits.fit_uplinks(made)
    many = fits.fit_uplinks(np.arange(1000, 2000))

    assert [one.bytes_per_s for one in found] == [one.bytes_per_s for one in UPLINKS]
    assert [one.share for one in found] == pytest.approx([one.share for one in UPLINKS], abs=0.02)
    assert len(many) == 10
    assert sum(one.share for one in many) == pytest.approx(1)
    assert many[0] == Uplink(pytest.approx(1049, abs=1), 0.1)


@settings(deadline=None, max_examples=8)
@given(st.lists(st.integers(0, 2 * 86_400 * 10**6), min_size=50, max_size=200))
def test_any_arrivals_have_a_figure(t: list[int]) -> None:
    """No division by zero, no value that is not finite, whatever the arrivals."""
    fit = fits.fit_arrivals(np.sort(np.array(t)))

    assert fit is not None
    assert 0 <= fit.goodness.distance <= 1
    assert all(math.isfinite(getattr(fit.arrivals, name)) for name in fit.arrivals.__struct_fields__)


def test_stated_errors_are_as_large_as_errors_are() -> None:
    """Errors in standard errors are 1 in the mean, 0.2 more or less by chance, and a fifth more because of the bins."""
    case = {"median_s": 10.0, "sigma": 0.6, "capture_s": 4.0, "fanout_s": 30.0}
    found = [fits.fit_arrivals(columns(Shape(posters=20_000, **case), random.Random(seed)).t) for seed in range(12)]
    for name, value in case.items():
        scores = [math.log(getattr(fit.arrivals, name) / value) / (fit.errors[name] or 0) for fit in found if fit]
        assert 0.5 < math.sqrt(np.mean(np.square(scores))) < 1.4, name
