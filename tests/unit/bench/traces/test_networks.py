"""Models of networks: what they do to a burst."""

import random

import msgspec
import numpy as np
import pytest

from bench.traces.columns import NO_BREAK, Columns
from bench.traces.lines import PAUSE_MS_MAX
from bench.traces.networks import MSS_BYTES, NETWORKS, QUANTILES, Network, through
from bench.traces.synthesis import Shape, columns

STILL = Network(uplinks=(), rtt_ms=(50,) * 6, lossy=0, loss=0.1, broken=0, pause_s=(5,) * 6)


def burst(posters: int = 4000) -> Columns:
    """A synthetic burst."""
    return columns(Shape(posters=posters), random.Random(1))


def met(found: Columns, network: Network, seed: int = 1, **other: object) -> Columns:
    """The burst through a network of which something is changed."""
    return through(found, msgspec.structs.replace(network, **other), np.random.default_rng(seed))


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_a_model_is_a_burst_with_breaks(name: str) -> None:
    """As many as it says, each within its upload and behind the one before, with a pause of 5 to 30 s; seeded."""
    found, network = burst(), NETWORKS[name]
    made = met(found, network)
    there = made.d != NO_BREAK

    assert np.mean(there.any(axis=1)) == pytest.approx(network.broken, abs=0.02)
    assert (made.d[there] >= 0).all()
    assert (made.d < (made.f + made.b)[:, np.newaxis]).all()
    assert (np.diff(made.d, axis=1)[there[:, 1:]] > 0).all()
    assert np.array_equal(there, made.p != NO_BREAK)
    assert made.p[there].min() >= 5000
    assert made.p[there].max() <= 30_000 < PAUSE_MS_MAX
    assert (made.up <= found.up).all()
    assert made.up.min() >= 4000
    for column in ("t", "u", "f", "b"):
        assert np.array_equal(getattr(made, column), getattr(found, column))
    assert np.array_equal(made.d, met(found, network).d)
    assert not np.array_equal(made.p, met(found, network, seed=2).p)
    assert len(network.rtt_ms) == len(network.pause_s) == len(QUANTILES)


def test_a_break_is_anywhere_in_what_is_left() -> None:
    """Uniform; every further connection ends with the same chance, up to the most breaks that an upload has."""
    made = met(burst(20_000), STILL, broken=0.5, breaks_max=3)
    there, place = made.d != NO_BREAK, made.d[:, 0] / (made.f + made.b)

    assert np.mean(there, axis=0) == pytest.approx([0.5, 0.25, 0.125], abs=0.02)
    assert np.percentile(place[there[:, 0]], [10, 50, 90]) == pytest.approx([0.1, 0.5, 0.9], abs=0.03)
    assert met(burst(50), STILL, broken=1, breaks_max=1).d.shape == (50, 1)
    assert met(burst(50), STILL, broken=1, breaks_max=99).d.shape == (50, 16)


def test_an_upload_of_two_bytes_breaks_twice_at_most() -> None:
    """Nothing is left after the last byte."""
    tiny = burst(100)
    ones = np.ones_like(tiny.f)
    made = met(msgspec.structs.replace(tiny, f=ones, b=ones), STILL, broken=1)

    assert set(map(tuple, made.d[:, :2].tolist())) == {(0, 1), (1, NO_BREAK)}


def test_loss_and_round_trips_slow_an_uplink_down() -> None:
    """By the formula of Mathis et al.: 1460 bytes, 50 ms, a tenth lost: 113 kB/s; without loss the uplink stays."""
    found = burst(2000)
    all_lossy, half = met(found, STILL, lossy=1), met(found, STILL, lossy=0.5)
    most = MSS_BYTES / 0.05 * (1.5 / 0.1) ** 0.5

    assert all_lossy.up.max() == round(most) == 113_091
    assert np.array_equal(all_lossy.up[found.up < most], found.up[found.up < most])
    assert np.mean(half.up[found.up > most] > most) == pytest.approx(0.5, abs=0.05)
    assert np.array_equal(met(found, STILL).up, found.up)
    assert met(found, STILL).d.shape == (2000, 0)
