"""Bands over the seeds."""

from bench.simulation.bands import Band, bands


def test_a_band_is_three_percentiles_over_the_seeds() -> None:
    """A figure that one play lacks has none."""
    played = [{"accepted": float(n), "ready": 1.0} for n in range(11)] + [{"accepted": 5.0}]
    assert bands(played) == {"accepted": Band(1.1, 5.0, 8.9)}
