"""The view of each round, and what is kept between rounds."""

import io
import random

import msgspec
import pytest
from rich.console import Console

from deploy.watching.exposition import WANTED
from deploy.watching.moments import MOMENTS_MAX, TOLD_S
from deploy.watching.observer import COURSE_MAX, EVENTS_MAX, FORGET_S, WINDOW_S, Observer
from deploy.watching.prediction import Band, Prediction
from deploy.watching.serving import frame
from deploy.watching.targets import Target
from deploy.watching.terminal import drawn
from deploy.watching.view import View
from tests.unit.deploy.watching.pages import BALANCER, NODE, SCALER, balancer, node, round_of, scaler


def test_late_posts_a_second_come_from_the_moments_own_count() -> None:
    """Which is exact; None until it is known twice."""
    observer = Observer()
    found = [
        observer.add(round_of(at, {SCALER: scaler(moments={"m": (1_900.0, {"late": late})})})).flow.late
        for at, late in ((2_000.0, 4), (2_002.0, 10), (2_004.0, 10), (2_006.0, 8))
    ]
    assert found == [None, 3.0, 0.0, 0.0]


def test_percentiles_are_those_of_the_window() -> None:
    """What ended before it does not count any more."""
    observer, at = Observer(), 2_000.0
    observer.add(round_of(at, {NODE: node()}))
    assert observer.add(round_of(at + 2, {NODE: node(accepted=10, slow=10)})).uploads.p50_s == pytest.approx(0.55)
    within = observer.add(round_of(at + WINDOW_S + 1, {NODE: node(accepted=10, slow=10)})).uploads
    assert (within.count, within.over_s) == (10.0, 9.0)
    assert observer.add(round_of(at + WINDOW_S + 3, {NODE: node(accepted=10, slow=10)})).uploads.count == 0.0


def test_what_is_kept_is_bounded() -> None:
    """Course and events have an end, whatever happens for however long."""
    observer = Observer()
    for number in range(COURSE_MAX + 2):
        nodes = {"a": {"up": number % 2}}
        found = observer.add(round_of(2_000 + 2 * number, {BALANCER: balancer(nodes=nodes), SCALER: scaler()}))
    assert len(found.course) == COURSE_MAX
    assert len(found.events) == EVENTS_MAX
    assert found.course[-1].at == found.at


ODD = (1e15, -1e15, 1e-15, -5.0, 0.0)


def odd_pages(draw: random.Random) -> dict[Target, str]:
    """Pages with every name that is read, with values and labels that no program of ours would give."""
    labels = [
        "",
        '{x="y"}',
        '{tier="node"}',
        '{moment="m",state="late"}',
        '{moment="m"}',
        '{node="a"}',
        '{event="lapsed"}',
    ]
    labels += [
        '{route="upload",le="1"}',
        '{stage="store",le="+Inf"}',
        '{shard="\\n<b>"}',
        '{status="x",route="upload"}',
    ]
    return {
        target: "\n".join(f"{name}{draw.choice(labels)} {draw.choice(ODD)}" for name in (*WANTED, *WANTED))
        for target in (NODE, BALANCER, SCALER)
    }


def test_whatever_programs_say_there_is_a_view() -> None:
    """Labels that are missing or odd, values without sense, a clock that is set back: it is drawn, and it is JSON."""
    seed = random.randrange(2**32)
    draw, observer = random.Random(seed), Observer(Prediction("x", {"offered": Band(1, 2, 3)}))
    for number in range(60):
        found = observer.add(round_of(2_000 + draw.choice((-2, 0, 2)) + number, odd_pages(draw)))
        console = Console(file=io.StringIO(), width=100)
        console.print(drawn(found))
        assert msgspec.json.decode(frame(found).removeprefix(b"data: ")), seed


def test_targets_that_went_are_forgotten() -> None:
    """Workers come and go for weeks; one that was silent for long begins anew."""
    observer = Observer()
    for number in range(100):
        went = Target(f"http://127.0.0.1:{number + 1}/metrics")
        observer.add(round_of(2_000 + 2 * number, {went: "snapsurge_worker_claims_total 1"}))
    assert len(observer._last) <= FORGET_S / 2 + 1


def test_a_silent_target_keeps_its_counters_for_a_while() -> None:
    """What it counted meanwhile is not lost, and is spread over the time."""
    observer = Observer()
    observer.add(round_of(2_000, {NODE: node()}))
    observer.add(round_of(2_002, {}, a="no answer in time"))
    assert observer.add(round_of(2_004, {NODE: node(accepted=8)})).flow.accepted == 2.0


def test_the_moment_is_known_while_nobody_tells_of_it() -> None:
    """An autoscaler that is away does not change when the moment fires; no event is made of it."""
    observer = Observer()
    observer.add(round_of(2_000, {SCALER: scaler(moments={"m": (1_990.0, {"late": 4})})}))
    found = observer.add(round_of(2_010, {}, autoscaler="no answer in time")).moment
    assert found is not None
    assert (found.id, found.since_s) == ("m", 20.0)
    back = observer.add(round_of(2_012, {SCALER: scaler(moments={"m": (1_990.0, {"late": 8})})}))
    assert back.flow.late == 2.0
    assert not [event for event in back.events if "moment" in event.words]


def test_a_moment_that_was_cancelled_is_not_counted_down_for_ever() -> None:
    """The autoscaler answers and knows it no more; a new leader has some time to tell, and one that fired stays."""
    observer, soon, other = Observer(), scaler(moments={"m": (3_000.0, {})}), Target("http://h:1/metrics", "s-2")
    observer.add(round_of(2_000, {SCALER: soon}))
    observer.add(round_of(2_002, {SCALER: scaler(elected=0), other: scaler()}))  # begins to lead
    found = [
        observer.add(round_of(at, {other: scaler()})) for at in (2_004.0, 2_004.0 + TOLD_S - 0.1, 2_004.0 + TOLD_S)
    ]
    assert [bool(one.moment) for one in found] == [True, True, False]
    assert "note: moment m is cancelled" in f"{found[-1].events[-1].kind}: {found[-1].events[-1].words}"

    observer.add(round_of(2_100, {other: soon}))
    fired = [observer.add(round_of(at, {other: scaler()})) for at in (3_001.0, 3_002.0 + TOLD_S)]
    assert all(one.moment for one in fired)


def test_late_posts_of_all_open_moments_count() -> None:
    """Not those of the one alone that is shown."""
    observer = Observer()
    for at, late in ((2_000.0, 4), (2_002.0, 10)):
        moments = {"m": (1_900.0, {"late": late}), "n": (1_950.0, {"late": 2 * late})}
        found = observer.add(round_of(at, {SCALER: scaler(moments=moments)}))
    assert found.flow.late == 9.0


def test_each_moment_has_its_events() -> None:
    """Of two that overlap both are told, moved, cancelled or fired; one that is over goes without a word."""
    observer = Observer()
    rounds: tuple[tuple[float, dict[str, float]], ...] = (
        (2_000.0, {"a": 1_990.0}),
        (2_002.0, {"a": 1_990.0, "b": 2_010.0, "c": 2_500.0, "d": 2_600.0}),
        (2_004.0, {"a": 1_990.0, "b": 2_010.0, "c": 2_400.0, "d": 2_600.0}),
        (2_011.0, {"a": 1_990.0, "b": 2_010.0, "c": 2_400.0}),
        (2_011.0 + TOLD_S, {"a": 1_990.0, "b": 2_010.0, "c": 2_400.0}),
    )
    for at, known in rounds:
        found = observer.add(round_of(at, {SCALER: scaler(moments={name: (at, {}) for name, at in known.items()})}))
    assert [event.words for event in found.events] == [
        "moment b fires in 8 s",
        "moment c fires in 498 s",
        "moment d fires in 598 s",
        "moment c was moved: it fires in 396 s",
        "moment b fires",
        "moment d is cancelled: the autoscaler knows it no more",
    ]


def test_moments_that_are_kept_have_a_bound() -> None:
    """Whatever a page of a stranger tells."""
    observer = Observer()
    for number in range(3):
        moments = {f"m{number}-{name}": (3_000.0 + name, dict[str, int]()) for name in range(MOMENTS_MAX)}
        found = observer.add(round_of(2_000.0 + 2 * number, {SCALER: scaler(moments=moments)}))
    assert found.moment is not None
    assert found.moment.others == MOMENTS_MAX - 1


def predicted(at: float, accepted: int, posts: dict[str, int], observer: Observer) -> View:
    """A round while the moment m is open since 2,000."""
    moments = {"m": (2_000.0, posts)}
    pages = {NODE: node(accepted=accepted), BALANCER: balancer(), SCALER: scaler(moments=moments, queue_ready=accepted)}
    return observer.add(round_of(at, pages))


def test_predicted_figures_stand_beside_those_of_the_burst_so_far() -> None:
    """Counted since the moment; accepted pairs by the moment's own count where it is known."""
    names = ("offered", "accepted", "shed", "queue_peak", "upload_p99_ms", "workers_peak", "offered@4", "other")
    observer = Observer(Prediction("2026-11-30T10:00:00Z", {name: Band(1, 2, 3) for name in names}))
    assert predicted(1_990.0, 0, {}, observer).foretold == ()
    predicted(1_998.0, 50, {}, observer)  # Before the moment: not of the burst.
    predicted(2_002.0, 60, {}, observer)
    found = predicted(2_004.0, 80, {}, observer)
    now = {one.name: one.now for one in found.foretold}
    assert now["offered"] == 25  # half of the four seconds in which ten came are of the burst
    assert now["accepted"] == 25
    assert (now["queue_peak"], now["workers_peak"], now["shed"]) == (80.0, 1.0, 0)
    assert now["upload_p99_ms"] == pytest.approx(99.5, abs=1)
    assert now["offered a second"] == 10.0
    assert "other" not in now
    found = predicted(2_006.0, 90, {"accepted": 41}, observer)
    assert {one.name: one.now for one in found.foretold}["accepted"] == 41


def test_an_upload_of_the_burst_is_offered_once() -> None:
    """At its head; the rate in the round of its end is that of the round alone."""
    observer = Observer(Prediction("x", {"offered": Band(1, 2, 3)}))
    for number, own in enumerate((node(), node(in_flight=4), node(accepted=4))):
        pages = {NODE: own, BALANCER: balancer(), SCALER: scaler(moments={"m": (1_990.0, {})})}
        found = observer.add(round_of(2_000.0 + 2 * number, pages))
    assert found.flow.offered == 2.0
    assert found.foretold[0].now == 4


def test_a_view_is_json_of_a_bounded_size() -> None:
    """With a full course and 20 nodes: what a page gets each time."""
    observer, nodes = Observer(), {f"node-{number}": {} for number in range(20)}
    for number in range(COURSE_MAX):
        pages = {NODE: node(accepted=7 * number), BALANCER: balancer(nodes=nodes), SCALER: scaler()}
        found = observer.add(round_of(1_800_000_000.123456 + 2 * number, pages))
    assert len(msgspec.json.encode(found)) < 40_000
