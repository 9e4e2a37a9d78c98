"""The closed form of the arrivals is the distribution of what `synth` draws."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.traces.arrivals import Arrivals
from bench.traces.synthesis import Shape, columns

CASES = [
    {"median_s": 18.0, "sigma": 0.9, "capture_s": 8.0, "fanout_s": 5.0},
    {"median_s": 8.0, "sigma": 0.3, "capture_s": 4.0, "fanout_s": 480.0},
    {"median_s": 3.0, "sigma": 1.4, "capture_s": 0.0, "fanout_s": 60.0},
    {"median_s": 3.0, "sigma": 0.0, "capture_s": 9.0, "fanout_s": 0.0},
    {"median_s": 20.0, "sigma": 0.5, "capture_s": 0.0, "fanout_s": 0.0},
]


@pytest.mark.parametrize("case", CASES)
def test_it_is_the_distribution_of_a_synthetic_burst(case: dict[str, float]) -> None:
    """Within what chance allows 40,000 arrivals; also with parts of no width."""
    t = columns(Shape(posters=40_000, **case), random.Random(3)).t / 1e6
    shares = Arrivals(**case).distribution(t)

    assert np.max(np.abs(shares - np.arange(len(t)) / len(t))) < 1.9 / np.sqrt(len(t))


@settings(deadline=None, max_examples=50)
@given(st.floats(0.1, 100), st.floats(0.01, 2), st.floats(0, 600), st.floats(0, 30))
def test_it_ascends_from_nobody_to_everybody(median_s: float, sigma: float, fanout_s: float, capture_s: float) -> None:
    """Whatever the parameters."""
    made = Arrivals(median_s=median_s, sigma=sigma, fanout_s=fanout_s, capture_s=capture_s)
    shares = made.distribution(np.concatenate([np.linspace(-1, 1000, 500), np.geomspace(1001, 1e7, 500)]))

    assert (np.diff(shares) > -1e-4).all()
    assert shares[0] == pytest.approx(0, abs=1e-9)
    assert shares[-1] == pytest.approx(1, abs=1e-6)


def test_places_in_the_push_are_those_that_were() -> None:
    """Drawn from the arrivals alone they are even over the push, and what is left is a reaction and a capture."""
    case = CASES[1]
    made, t = Arrivals(**case), columns(Shape(posters=40_000, **case), random.Random(3)).t / 1e6
    places = made.places(t, np.random.default_rng(1).random(len(t)))
    rest = np.sort(t - places)

    assert (places >= 0).all()
    assert (places <= np.minimum(480, t)).all()
    assert np.max(np.abs(np.sort(places) / 480 - np.arange(len(t)) / len(t))) < 0.02
    assert np.max(np.abs(made.without_fanout(rest) - np.arange(len(t)) / len(t))) < 0.02


def test_an_arrival_that_the_model_does_not_know_has_a_place_too() -> None:
    """Before anyone could have posted, and long after."""
    places = Arrivals(**CASES[1]).places(np.array([0.0, 0.5, 1e5]), np.array([0.5, 0.5, 0.5]))
    assert (places >= 0).all()
    assert (places <= [0, 0.5, 480]).all()
