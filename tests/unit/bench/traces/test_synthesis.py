"""Synthetic bursts and what a replay offers of a trace."""

import math
import random
import shlex
import statistics
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.__main__ import parser
from bench.traces.push import Step, plan_of
from bench.traces.synthesis import (
    UPLINKS,
    Shape,
    ShapeError,
    Uplink,
    columns,
    command,
    first_attempts,
    superpose,
    synthesize,
    uplinks_of,
)
from bench.traces.trace import Row
from bench.verbs.synth import shape as asked

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


def loop(shape: Shape, rng: random.Random) -> Iterator[Row]:
    """The burst row after row, one draw after another: what the windows of the stream must give."""
    for _ in range(shape.posters):
        user = f"{rng.getrandbits(64):016x}"
        at_s = math.inf
        while at_s > (shape.span_s or 1e9):
            reaction_s = rng.lognormvariate(math.log(shape.median_s), shape.sigma)
            at_s = rng.uniform(0.0, shape.fanout_s) + reaction_s + shape.capture_s * rng.uniform(0.5, 1.5)
        sizes = [round(rng.lognormvariate(math.log(shape.photo_bytes), shape.photo_sigma)) for _ in range(2)]
        f, b = (min(max(size, shape.photo_bytes_min), shape.photo_bytes_max) for size in sizes)
        left = rng.random() * sum(uplink.share for uplink in shape.uplinks)
        up = shape.uplinks[-1].bytes_per_s
        for uplink in shape.uplinks:
            left -= uplink.share
            if left < 0:
                up = uplink.bytes_per_s
                break
        yield Row(t=round(at_s * 1e6), u=user, f=f, b=b, up=up)


shapes = st.builds(
    Shape,
    posters=st.integers(1, 300),
    median_s=st.floats(0.1, 100),
    sigma=st.floats(0, 1.5),
    capture_s=st.floats(0, 20),
    fanout_s=st.floats(0, 600),
    photo_bytes=st.integers(40_000, 2_000_000),
    photo_sigma=st.floats(0, 1),
    uplinks=st.lists(st.builds(Uplink, st.integers(1, 10**9), st.floats(0.01, 3)), min_size=1, max_size=6).map(tuple),
)


@settings(deadline=None, max_examples=25)
@given(shapes, st.integers(0, 2**40), st.none() | st.floats(1.01, 4))
def test_a_burst_is_that_of_a_loop(shape: Shape, seed: int, room: float | None) -> None:
    """Byte for byte, whatever the parameters, with a span that cuts the tail and without."""
    if room is not None:
        shape = msgspec.structs.replace(shape, span_s=room * (shape.median_s + shape.capture_s + shape.fanout_s / 2))
    expected = sorted(loop(shape, random.Random(seed)), key=lambda row: (row.t, row.u))
    found = list(synthesize(shape, random.Random(seed)))

    # The last digit of an exponential may differ between libraries, and with it the rounding of a value in 10^9.
    assert [row.u for row in found] == [row.u for row in expected]
    for name in ("t", "f", "b", "up"):
        assert [getattr(row, name) for row in found] == pytest.approx([getattr(row, name) for row in expected], abs=1)


def test_a_burst_of_several_windows_is_that_of_a_loop() -> None:
    """Its rows cross their bounds."""
    shape = Shape(posters=20_000, span_s=40.0)
    assert list(synthesize(shape, random.Random(SEED))) == sorted(
        loop(shape, random.Random(SEED)), key=lambda row: (row.t, row.u)
    )


def test_a_push_plan_spreads_the_arrivals() -> None:
    """Nobody reacts to a notification that was not sent: a fast half, a pause, and a slow half."""
    steps = (Step(0, 60_000), Step(30, 0), Step(90, 6_000))
    shape = Shape(posters=20_000, devices=60_000, pushes_per_minute=steps, median_s=1.0, sigma=0.2, capture_s=0.0)
    t = columns(shape, random.Random(SEED)).t / 1e6

    assert sum(t < 34) == pytest.approx(10_000, rel=0.03)
    assert sum((t > 34) & (t < 90)) == 0
    assert shape.plan.length_s == plan_of(60_000, steps).length_s == pytest.approx(390)
    assert t[-1] == pytest.approx(391, abs=1)


def test_devices_and_rates_belong_together() -> None:
    """A rate says nothing without the number of devices, and who posts has one."""
    for devices in (None, 9):
        with pytest.raises(ShapeError, match="devices"):
            columns(Shape(posters=10, devices=devices, pushes_per_minute=(Step(0, 1),)), random.Random(1))
    assert columns(Shape(posters=10, devices=10, pushes_per_minute=(Step(0, 1),)), random.Random(1)).count == 10


@pytest.mark.parametrize("field", ["median_s", "sigma", "fanout_s", "photo_sigma"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_parameters_are_finite(field: str, value: float) -> None:
    """Else the rows would be noise."""
    with pytest.raises(ShapeError, match="finite"):
        columns(Shape(posters=1, **{field: value}), random.Random(1))


def test_a_post_days_later_is_no_post() -> None:
    """The reader would refuse it."""
    with pytest.raises(ShapeError, match="two days"):
        columns(Shape(posters=100, median_s=90_000, sigma=2), random.Random(1))
    assert columns(Shape(posters=100, median_s=90_000, sigma=0), random.Random(1)).count == 100


@settings(deadline=None, max_examples=20)
@given(shapes, st.sampled_from([(), (Step(0, 5.5), Step(60.25, 7))]))
def test_the_command_makes_the_shape(shape: Shape, steps: tuple[Step, ...]) -> None:
    """Every parameter is an option of `synth`, exactly."""
    if steps:
        shape = msgspec.structs.replace(shape, devices=10**6, pushes_per_minute=steps, fanout_s=5.0)
    uplinks = tuple(msgspec.structs.replace(one, share=float(f"{one.share:.12g}")) for one in shape.uplinks)
    shape = msgspec.structs.replace(shape, uplinks=uplinks)
    args = parser().parse_args(shlex.split(shlex.join(command(shape, 60, 9, "x.gz")))[3:])

    assert asked(args) == shape
    assert (args.window_s, args.seed, args.out.name) == (60, 9, "x.gz")


@pytest.mark.parametrize("words", ["", "5", "0:1", "5:0", "5:-1", "5:nan", "1000000001:1", "5:1:1", "x:1"])
def test_words_that_are_no_uplinks_are_refused(words: str) -> None:
    """With an example of what is one."""
    with pytest.raises(ShapeError, match="--uplinks"):
        uplinks_of(words)


def test_copies_of_copies_have_users_of_their_own() -> None:
    """Also when a user's name is as long as a row allows: else the file could not be read again."""
    rows = [Row(5, "a", 1, 1, 1), Row(5, "b" * 64, 1, 1, 1)]
    twice = superpose(superpose(rows, 2, random.Random(1)), 3, random.Random(1))

    assert len({row.u for row in twice}) == len(twice) == 12
    assert max(len(row.u) for row in twice) <= 64
