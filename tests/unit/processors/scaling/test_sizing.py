"""The autoscaler's decision, by example and by property: bounded, monotone, calm, warm in time."""

import msgspec
from hypothesis import assume, given
from hypothesis import strategies as st

from processors.scaling.sizing import Decision, Limits, Load, Moment, Needed, decide

NOW = 1_767_225_600_000
LIMITS = Limits(workers_min=1, workers_max=100, workers_warm=40)
IDLE = Load(ready=0, oldest_s=0, arrivals_per_s=0, service_s=0.12)


@st.composite
def limits(draw: st.DrawFn) -> Limits:
    """Any limits that agree with each other."""
    least, warm, most = sorted(draw(st.tuples(*[st.integers(0, 500)] * 3)))
    duration = st.floats(1, 600)
    return Limits(
        workers_min=least,
        workers_warm=warm,
        workers_max=most,
        drain_s=draw(duration),
        lead_s=draw(duration),
        hold_s=draw(st.floats(0, 600)),
        down_s=draw(st.floats(0, 600)),
        utilisation=draw(st.floats(0.1, 1)),
    )


loads = st.builds(
    Load,
    ready=st.integers(0, 10**7),
    oldest_s=st.floats(0, 10**6),
    arrivals_per_s=st.floats(0, 10**5),
    service_s=st.floats(0, 60),
)
moments = st.builds(Moment, fires_at_ms=st.integers(NOW - 10**6, NOW + 10**6), window_s=st.floats(1, 600))
schedules = st.lists(moments, max_size=4)
histories = st.lists(
    st.builds(Needed, at_ms=st.integers(NOW - 10**6, NOW), workers=st.integers(0, 10**4)), max_size=9
).map(lambda needed: tuple(sorted(needed, key=lambda one: (-one.workers, one.at_ms))))


def run(load: Load | None, *, seconds: range, workers: int, schedule: tuple[Moment, ...] = ()) -> list[int]:
    """Each second's desired workers, reached at once."""
    said: list[int] = []
    history: tuple[Needed, ...] = ()
    for second in seconds:
        decision = decide(load, schedule, LIMITS, workers=workers, now_ms=NOW + 1000 * second, history=history)
        workers, history = decision.desired, decision.history
        said.append(workers)
    return said


def once(load: Load | None, *, workers: int = 1, history: tuple[Needed, ...] = ()) -> Decision:
    """One decision without moments."""
    return decide(load, (), LIMITS, workers=workers, now_ms=NOW, history=history)


def test_the_example_of_the_contract() -> None:
    """10,000 ready and 100 a second at 0.12 s each want 46 workers to be done in a minute."""
    assert once(Load(ready=10_000, oldest_s=0, arrivals_per_s=100, service_s=0.12)).desired == 46


def test_the_example_of_the_readme() -> None:
    """The table of processors/README.md row by row: warm before the burst, up at once, held, down when not needed."""
    within = Limits(workers_min=2, workers_warm=40, workers_max=100)
    schedule = (Moment(fires_at_ms=NOW, window_s=120),)
    seen: dict[int, tuple[int, float, float] | None] = dict.fromkeys(range(-61, 451), (0, 0.0, 0.0))
    seen |= {20: (3_000, 5.0, 250.0), 40: (10_000, 20.0, 100.0), 90: (0, 0.0, 10.0), 100: None}
    history = (Needed(at_ms=NOW - 10**7, workers=2),)
    desired = {}
    for second, measured in seen.items():
        load = None
        if measured is not None:
            load = Load(ready=measured[0], oldest_s=measured[1], arrivals_per_s=measured[2], service_s=0.12)
        decision = decide(load, schedule, within, workers=2, now_ms=NOW + 1000 * second, history=history)
        history, desired[second] = decision.history, decision.desired

    rows = {-61: 2, -60: 40, 20: 53, 40: 60, 90: 60, 100: 60, 401: 40, 450: 2}
    assert {second: desired[second] for second in rows} == rows


def test_an_exact_quotient_starts_no_extra_worker() -> None:
    """0.7 workers' worth of work at 0.7 utilisation is one worker."""
    for count in range(1, 60):
        busy = msgspec.structs.replace(IDLE, arrivals_per_s=count * 7, service_s=0.1)
        assert once(busy).desired == count


def test_an_old_queue_has_less_time_left() -> None:
    """Jobs half the drain target old want twice the workers, and ever older ones at most four times."""
    sizes = [
        once(Load(ready=6000, oldest_s=oldest, arrivals_per_s=0, service_s=0.07)).desired for oldest in (0, 30, 45, 9e9)
    ]

    assert sizes == [10, 20, 40, 40]


def test_up_at_once_and_down_after_the_patience() -> None:
    """A burst is answered in the same decision; afterwards the workers stay for `down_s` seconds."""
    burst = once(Load(ready=10_000, oldest_s=0, arrivals_per_s=100, service_s=0.12))
    history, said = burst.history, []
    for second in range(1, 400):
        decision = decide(IDLE, (), LIMITS, workers=46, now_ms=NOW + 1000 * second, history=history)
        history = decision.history
        said.append(decision.desired)

    assert said == [46] * 300 + [1] * 99


def test_a_clock_that_was_set_back_holds_nobody_for_long() -> None:
    """What was needed at a time that is still far away says nothing of now."""
    ahead = (Needed(at_ms=NOW + 10**7, workers=30),)

    assert once(IDLE, history=ahead).desired == 1


def test_a_restarted_scaler_stops_nobody() -> None:
    """Without a history the running workers count as needed until the patience is over."""
    said = run(IDLE, seconds=range(400), workers=30)

    assert said == [30] * 301 + [1] * 99


def test_the_floor_is_up_before_the_moment_and_through_its_window() -> None:
    """From a minute before until half a minute after the window at least the warm workers are desired."""
    moment = Moment(fires_at_ms=NOW, window_s=120)
    said = run(IDLE, seconds=range(-100, 800), workers=1, schedule=(moment,))
    floor_ends = 100 + 120 + 30 + 300

    assert said == [1] * 40 + [40] * (floor_ends - 40) + [1] * (900 - floor_ends)


@given(st.none() | loads, schedules, limits(), st.integers(0, 10**4), histories)
def test_always_within_the_bounds(
    load: Load | None, schedule: list[Moment], within: Limits, workers: int, history: tuple[Needed, ...]
) -> None:
    """Whatever is measured, scheduled and remembered, the desired workers lie between the least and the most."""
    decision = decide(load, schedule, within, workers=workers, now_ms=NOW, history=history)

    assert within.workers_min <= decision.desired <= within.workers_max


@given(loads, st.integers(0, 10**7), st.floats(0, 10**5), st.floats(0, 10**6), schedules, limits(), histories)
def test_more_load_never_means_fewer_workers(
    load: Load,
    ready: int,
    arrivals: float,
    older: float,
    schedule: list[Moment],
    within: Limits,
    history: tuple[Needed, ...],
) -> None:
    """Desired is monotone in depth, in age and in arrivals."""
    for more in (
        msgspec.structs.replace(load, ready=load.ready + ready),
        msgspec.structs.replace(load, arrivals_per_s=load.arrivals_per_s + arrivals),
        msgspec.structs.replace(load, oldest_s=load.oldest_s + older),
    ):
        less, greater = (decide(it, schedule, within, workers=0, now_ms=NOW, history=history) for it in (load, more))
        assert less.desired <= greater.desired


@given(loads, st.integers(0, 200), st.integers(1, 30))
def test_constant_load_never_flaps(load: Load, workers: int, every_s: int) -> None:
    """Under constant load the answer changes at most once, downwards, when the patience is over."""
    said = run(load, seconds=range(0, 700, every_s), workers=workers)

    assert sorted(said, reverse=True) == said
    assert len(set(said)) <= 2


@given(st.lists(st.integers(0, 50_000), min_size=1, max_size=60))
def test_it_is_the_maximum_of_the_patience(depths: list[int]) -> None:
    """However the depth jumps, desired is the largest need of the last `down_s` seconds; its memory stays sorted."""
    history: tuple[Needed, ...] = (Needed(at_ms=NOW - 10**7, workers=1),)
    needs = []
    for step, depth in enumerate(depths):
        load = Load(ready=depth, oldest_s=0, arrivals_per_s=0, service_s=0.1)
        needs.append(once(load, history=(Needed(at_ms=NOW - 10**7, workers=1),)).desired)
        decision = decide(load, (), LIMITS, workers=1, now_ms=NOW + step * 20_000, history=history)
        history = decision.history
        assert decision.desired == max(needs[-16:])
        assert [one.workers for one in history] == sorted({one.workers for one in history}, reverse=True)


@given(loads, st.integers(0, 200), st.integers(1, 2000))
def test_a_stale_metric_holds(load: Load, workers: int, seconds: int) -> None:
    """However long nothing is known, what was desired last stays desired."""
    known = decide(load, (), LIMITS, workers=workers, now_ms=NOW)
    later = decide(None, (), LIMITS, workers=workers, now_ms=NOW + 1000 * seconds, history=known.history)

    assert later.desired == known.desired
    assert once(None, workers=17).desired == 17


@given(loads, moments, limits(), histories, st.floats(0, 1))
def test_the_floor_holds_for_every_moment(
    load: Load, moment: Moment, within: Limits, history: tuple[Needed, ...], part: float
) -> None:
    """At any instant from the lead to the window's close the warm workers are desired, stale metric or not."""
    since_ms = int(part * (within.lead_s + moment.window_s) * 1000) - int(within.lead_s * 1000)
    assume(-within.lead_s <= since_ms / 1000 < moment.window_s)  # a millisecond's rounding may leave it
    now_ms = moment.fires_at_ms + since_ms
    for known in (load, None):
        assert decide(known, [moment], within, workers=0, now_ms=now_ms, history=history).desired >= within.workers_warm
