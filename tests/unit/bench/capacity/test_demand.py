"""A burst by seconds, checked against sums by hand."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.capacity.demand import SECONDS_MAX, DemandError, Uploads, demand
from bench.traces.trace import Row

UNHURRIED = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def uploads(*rows: tuple[float, int, int], weight: float = 1.0) -> Uploads:
    """Uploads of (second, bytes, bytes/s)."""
    return Uploads.of(
        [
            Row(t=round(t * 1e6), u=str(n), f=size // 2, b=size - size // 2, up=up)
            for n, (t, size, up) in enumerate(rows)
        ],
        weight,
    )


def test_an_upload_is_in_flight_as_long_as_its_uplink_takes() -> None:
    """From 0.5 s, 2 MB at 1 MB/s: until 2.5 s."""
    found = demand(uploads((0.5, 2_000_000, 1_000_000)))
    assert found.begun.tolist() == [1, 0, 0]
    assert found.received.tolist() == [0, 0, 1]
    assert found.mb.tolist() == pytest.approx([0.5, 1.0, 0.5])
    assert found.in_flight.tolist() == [1.0, 1.0, 0.5]
    assert found.held_mb.tolist() == pytest.approx([0.5, 1.5, 0.0])


def test_uploads_shorter_than_a_second_are_in_flight_too() -> None:
    """Ten of a tenth of a second each are one on average."""
    found = demand(uploads(*((0.05, 100_000, 1_000_000) for _ in range(10))))
    assert found.in_flight.tolist() == pytest.approx([1.0])


def test_a_weight_is_so_many_uploads() -> None:
    """A sample stands for all."""
    found = demand(uploads((0.0, 1_000_000, 1_000_000), (0.0, 3_000_000, 1_000_000), weight=10))
    assert (found.pairs, found.mean_bytes) == (20, 2_000_000)
    assert found.begun[0] == 20


def test_nothing_cannot_be_planned_for() -> None:
    """No arrivals."""
    with pytest.raises(DemandError, match="no arrivals"):
        Uploads.of([])


def test_an_upload_lasts_less_than_a_day() -> None:
    """Both sides of the limit."""
    assert demand(uploads((0.0, SECONDS_MAX - 1, 1))).seconds == SECONDS_MAX
    with pytest.raises(DemandError, match="more than 86400 s"):
        demand(uploads((0.0, SECONDS_MAX, 1)))


@UNHURRIED
@given(
    st.lists(
        st.tuples(st.floats(0, 100), st.integers(2, 3_000_000), st.integers(10_000, 3_000_000)), min_size=1, max_size=30
    )
)
def test_what_is_begun_is_received_and_all_bytes_come(rows: list[tuple[float, int, int]]) -> None:
    """Conservation; Little's law: the seconds in flight are those that the uploads take."""
    found = demand(uploads(*rows))
    assert found.begun.sum() == found.received.sum() == len(rows)
    assert found.mb.sum() * 1e6 == pytest.approx(sum(size for _, size, _ in rows), rel=1e-6)
    assert found.in_flight.sum() >= sum(size / up for _, size, up in rows) * (1 - 1e-6)
    assert (found.held_mb >= 0).all()
    assert found.held_mb[-1] == pytest.approx(0, abs=1e-3)


@UNHURRIED
@given(st.floats(1.0, 50.0))
def test_a_burst_grows_in_proportion(times: float) -> None:
    """Twice the pairs are twice of everything that is counted, twice the bytes at twice the uplink the same time."""
    plain = uploads((0.2, 1_000_000, 400_000), (1.7, 500_000, 100_000))
    more, heavier = demand(plain.changed(pairs=times)), demand(plain.changed(size=times, up=times))
    assert np.allclose(more.in_flight, demand(plain).in_flight * times)
    assert np.allclose(demand(plain).times(times).in_flight, more.in_flight)
    assert (more.pairs, more.mean_bytes) == (2 * times, 750_000)
    assert np.allclose(heavier.in_flight, demand(plain).in_flight)
    assert np.allclose(heavier.mb, demand(plain).mb * times)
