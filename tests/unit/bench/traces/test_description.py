"""The figures of a trace, by hand."""

import random

import msgspec
import numpy as np
import pytest

from bench.errors import BenchError
from bench.traces.columns import NO_BREAK, Columns
from bench.traces.description import SERIES_S_MAX, Description, Peak, describe
from bench.traces.lines import Header
from bench.traces.synthesis import Shape, columns

HEADER = Header(kind="recorded", window_s=20)


def made(*rows: tuple[float, int, int, int, int]) -> Columns:
    """Rows of second, bytes of each photo, uplink, attempt, status."""
    t, size, up, n, s = (np.array(values) for values in zip(*rows, strict=True))
    found = Columns.first(np.rint(t * 1e6).astype(int), np.array([b"u"] * len(t)), size, size, up)
    return msgspec.structs.replace(found, n=n, s=s)


def described(found: Columns) -> Description:
    """The description."""
    return describe("t.gz", "0" * 64, HEADER, found)


def test_arrivals_and_attempts_are_counted_apart() -> None:
    """Retries are no arrivals; the window's end is still on time; peaks begin wherever they are highest."""
    found = described(
        made(
            (1, 5, 1, 1, 503),
            (2.5, 5, 1, 1, 201),
            (3.4, 5, 1, 1, 0),
            (4, 5, 1, 2, 201),
            (20, 5, 1, 1, 201),
            (21, 5, 1, 1, 429),
        )
    )
    assert (found.arrivals.users, found.arrivals.on_time) == (5, 0.8)
    assert found.arrivals.peaks == {"1": Peak(2, 2.5), "10": Peak(3, 1.0), "60": Peak(5, 1.0)}
    assert found.arrivals.per_s[:5] == [0, 1, 1, 1, 0]
    assert (found.arrivals.seconds["min"], found.arrivals.seconds["p50"], found.arrivals.seconds["max"]) == (1, 3.4, 21)
    assert found.attempts.by_number == {"1": 5, "2": 1}
    assert found.attempts.answers == {"none": 1, "201": 3, "429": 1, "503": 1}
    assert found.attempts.peaks["10"] == Peak(4, 1.0)


def test_bytes_and_uploads_in_flight_follow_the_uplinks() -> None:
    """Three uploads of 100 bytes: 10 s, 2 s and 4 s long; one that ends as another starts is not counted twice."""
    found = described(made((0.5, 50, 10, 1, 0), (1, 50, 50, 1, 0), (3, 50, 25, 1, 0)))

    assert (found.bytes.total, found.bytes.peaks["1"]) == (300, Peak(200, 0.5))
    assert found.in_flight.peak == Peak(2, 1.0)
    assert found.in_flight.per_s == [1, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1]
    assert found.bytes.uplinks_per_s == Peak(60, 1.0)
    assert (found.in_flight.upload_s["min"], found.in_flight.upload_s["max"]) == (2, 10)


def test_an_upload_of_years_makes_no_series_of_years() -> None:
    """The peak is still right."""
    found = described(made((0, 10**9, 1, 1, 0), (8000, 1, 1, 1, 0)))
    assert len(found.in_flight.per_s) == len(found.arrivals.per_s) == SERIES_S_MAX
    assert found.in_flight.peak == Peak(2, 8000)


def test_the_command_repeats_the_burst() -> None:
    """What is fitted is what was given to `synth`; few arrivals have no command."""
    shape = Shape(posters=5000, fanout_s=300.0)
    found = describe("t.gz", "", HEADER, columns(shape, random.Random(1)))

    assert found.fit.synth is not None
    assert found.fit.synth.startswith("python -m bench synth --posters 5000 --median-s ")
    assert found.fit.arrivals is not None
    assert found.fit.arrivals.arrivals.fanout_s == pytest.approx(300, rel=0.05)
    assert described(made((0, 5, 1, 1, 0))).fit.synth is None


def test_a_trace_without_arrivals_has_no_description() -> None:
    """Nor has one of retries alone."""
    with pytest.raises(BenchError, match=r"t\.gz: no arrivals"):
        described(made((0, 5, 1, 2, 0)))


def test_breaks_are_counted_and_keep_an_upload_in_flight() -> None:
    """Share, places and pauses; a break without a pause has one of 0 s; no breaks, no figures."""
    found = made((1, 50, 100, 1, 0), (1, 50, 100, 1, 0), (2, 50, 100, 1, 0), (2, 50, 100, 1, 0))
    assert described(found).breaks is None
    none = (NO_BREAK, NO_BREAK)
    table, pauses = np.array([none, (10, 90), (50, NO_BREAK), none]), np.array([none, (5000, 9000), none, none])
    broken = described(msgspec.structs.replace(found, d=table, p=pauses))

    assert broken.breaks is not None
    assert (broken.breaks.source, broken.breaks.share, broken.breaks.total) == ("recorded", 0.5, 3)
    assert (broken.breaks.places["min"], broken.breaks.places["p50"], broken.breaks.places["max"]) == (0.1, 0.5, 0.9)
    assert (broken.breaks.pause_s["min"], broken.breaks.pause_s["max"]) == (0, 9)
    assert broken.in_flight.upload_s["max"] == 15
    assert broken.in_flight.peak == Peak(3, 2.0)
    assert broken.bytes.uplinks_per_s == described(found).bytes.uplinks_per_s
