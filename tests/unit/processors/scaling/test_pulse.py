"""From depths and pulses to arrivals and service time."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.scaling.pulse import (
    BUSY_S_MAX,
    COUNT_MAX,
    SERVICE_GUESS_S,
    WORKERS_KEPT_MAX,
    Meter,
    Pulse,
    parse_name,
    parse_pulse,
    process_of,
    worker_name,
)
from storage.queue.jobs import Depth


def test_before_anything_is_measured_there_is_an_estimate() -> None:
    """The first look knows the depth only."""
    load = Meter().load(Depth(12, 3.0), {}, 1, 100.0)

    assert (load.ready, load.oldest_s, load.arrivals_per_s, load.service_s) == (12, 3.0, 0.0, SERVICE_GUESS_S)


def test_steady_state_is_measured() -> None:
    """Forty jobs a second come, twenty are done in 0.1 s each: both figures are found within seconds."""
    meter = Meter()
    for second in range(30):
        pulses = {"a": Pulse(10 * second, second), "b": Pulse(10 * second, second)}
        load = meter.load(Depth(20 * second, 0.0), pulses, 2, float(second))

    assert load.arrivals_per_s == pytest.approx(40, rel=0.01)
    assert load.service_s == pytest.approx(0.1, rel=0.01)


def test_a_worker_that_misses_a_pulse_or_is_replaced_upsets_nothing() -> None:
    """A lost pulse is made good by the next one; a new process counts from nothing."""
    meter = Meter()
    meter.load(Depth(0, 0.0), {"a": Pulse(100, 10.0)}, 1, 0.0)
    meter.load(Depth(0, 0.0), {}, 1, 1.0)
    load = meter.load(Depth(0, 0.0), {"a": Pulse(110, 11.0), "b": Pulse(5, 0.5)}, 2, 4.0)

    assert load.arrivals_per_s == pytest.approx(5)
    assert load.service_s == pytest.approx(0.1)


@pytest.mark.parametrize(("others", "arrivals_per_s"), [(WORKERS_KEPT_MAX - 1, 0.0), (WORKERS_KEPT_MAX, 10.0)])
def test_a_bounded_number_of_workers_is_remembered(others: int, arrivals_per_s: float) -> None:
    """With one more, the worker that was not heard for longest is forgotten, and counts from nothing again."""
    meter = Meter()
    meter.load(Depth(0, 0.0), {"first": Pulse(30, 1.0)}, 1, 0.0)
    meter.load(Depth(0, 0.0), {str(number): Pulse(0, 0.0) for number in range(others)}, 1, 1.0)
    load = meter.load(Depth(0, 0.0), {"first": Pulse(30, 1.0)}, 1, 4.0)

    assert load.arrivals_per_s == pytest.approx(arrivals_per_s)


def test_arrivals_are_never_negative() -> None:
    """A queue that was flushed is no negative burst, and a clock that stands still divides nothing."""
    meter = Meter()
    meter.load(Depth(1000, 0.0), {}, 0, 0.0)

    assert meter.load(Depth(0, 0.0), {}, 0, 1.0).arrivals_per_s == 0
    assert meter.load(Depth(50, 0.0), {}, 0, 1.0).arrivals_per_s == 0


def test_old_pulses_hold_what_was_measured() -> None:
    """While no worker is heard arrivals do not fall and the service time stays; without workers there is no doubt."""
    meter = Meter()
    for second in range(30):
        load = meter.load(Depth(0, 0.0), {"a": Pulse(40 * second, 4.0 * second)}, 1, float(second))
    silent = [meter.load(Depth(0, 0.0), {}, 1, 30.0 + second) for second in range(60)]

    assert {one.arrivals_per_s for one in silent} == {load.arrivals_per_s}
    assert {one.service_s for one in silent} == {load.service_s}
    assert meter.load(Depth(6000, 0.0), {}, 1, 91.0).arrivals_per_s > load.arrivals_per_s
    assert meter.load(Depth(6000, 0.0), {}, 0, 121.0).arrivals_per_s == 0


def test_workers_are_named_by_machine_process_and_life() -> None:
    """Two machines may have the same process ids, a restarted container has its old one; the name tells its process."""
    names = {worker_name(host, 7, life) for host in ("one", "fe80::1") for life in ("a", "b")}

    assert len(names) == 4
    assert {process_of(name) for name in names} == {("one", 7), ("fe80::1", 7)}


@given(st.binary(max_size=60))
def test_any_bytes_are_survived(raw: bytes) -> None:
    """Whatever stands in Redis, reading it does not fail; what is read as a name has a process."""
    parse_pulse(raw)
    assert (name := parse_name(raw)) is None or process_of(name)


def test_what_is_written_can_be_read() -> None:
    """A name and a pulse come out as they went in, the greatest numbers too, and those give a load that can be used."""
    name, most = worker_name("fe80::1", 7, "a"), Pulse(COUNT_MAX, BUSY_S_MAX, COUNT_MAX)
    assert parse_name(name.encode()) == name
    assert parse_pulse(msgspec.msgpack.encode(most)) == most

    meter = Meter()
    for second in range(3):
        for pulses in ({}, dict.fromkeys("abc", most), {"d": Pulse(1, BUSY_S_MAX)}):
            load = meter.load(Depth(1, 0.0), pulses, 3, second + 1e-9 * len(pulses))
            assert math.isfinite(load.arrivals_per_s * load.service_s)


def test_a_claim_is_no_loss_and_a_lapse_no_arrival() -> None:
    """Jobs that go from ready to leased and back are the same jobs."""
    meter = Meter()
    meter.load(Depth(30, 0.0), {}, 0, 0.0)
    meter.load(Depth(0, 0.0, leased=20, deferred=10), {}, 0, 1.0)

    assert meter.load(Depth(30, 0.0), {}, 0, 2.0).arrivals_per_s == 0
