"""Events in words, from two views."""

from collections.abc import Mapping

import pytest

from deploy.watching.observer import GRACE_S, Observer
from deploy.watching.problems import UNMEASURED
from deploy.watching.rounds import Round
from deploy.watching.targets import Target
from tests.unit.deploy.watching.pages import BALANCER, NODE, SCALER, balancer, node, round_of, scaler

CALM = {NODE: node(), BALANCER: balancer(), SCALER: scaler()}


def told(*rounds: Mapping[Target, str], at: float = 2_000.0, **failures: str) -> list[str]:
    """The events of rounds two seconds apart, kind before the words; the failures are those of the last one."""
    observer = Observer()
    for number, pages in enumerate(rounds):
        failed = failures if number == len(rounds) - 1 else {}
        now = at + 2 * number + (GRACE_S if failed else 0)
        found = observer.add(round_of(now, {**CALM, **pages} if not failed else pages, **failed))
    return [f"{event.kind}: {event.words}" for event in found.events]


def test_nothing_happens() -> None:
    """No event is made of a calm stack, nor of the first round."""
    assert told({}) == []
    assert told({}, {}, {}) == []


@pytest.mark.parametrize(
    ("pages", "words"),
    [
        (
            {BALANCER: balancer(nodes={"a": {"up": 0, "ejections_total": 1}})},
            "bad: node a ejected by a balancer; it is healthy at 0 of 1 balancers now",
        ),
        ({BALANCER: balancer(nodes={"a": {"up": 0}})}, "bad: node a is healthy at 0 of 1 balancers"),
        ({NODE: node(draining=1), BALANCER: balancer(nodes={"a": {"up": 0}})}, "note: node a drains"),
        ({NODE: node(store_away=1)}, "bad: node a is not ready: store"),
        ({NODE: node(started=2_001.0)}, "bad: node a is another process: it restarted"),
        ({BALANCER: balancer(nodes={"a": {}, "b": {}})}, "note: node b joined"),
        ({BALANCER: balancer(draining=1)}, "note: balancer lb-1 drains"),
        ({BALANCER: balancer(started=2_001.0)}, "note: balancer lb-1 is another process: it restarted"),
        (
            {BALANCER: balancer(panic=1)},
            "bad: panic mode at balancer lb-1: more than half the weight is ejected, it ignores health",
        ),
        ({SCALER: scaler(workers_desired=4)}, "note: workers: 4 wanted, before 1 (1 there)"),
        ({SCALER: scaler(nodes=6)}, "note: ladder: 6 of tier node wanted, before 0"),
        ({SCALER: scaler(lapsed=2)}, "bad: 2 jobs lost their worker, another one does them"),
        (
            {SCALER: scaler(lost=2)},
            "bad: the store has lost 2 pairs: `python -m processors verify MOMENT` names them",
        ),
        ({SCALER: scaler(dead_letters=3)}, "bad: 3 jobs given up, 3 dead letters are kept"),
        ({SCALER: scaler(elected=0)}, "bad: no autoscaler leads any more (it was autoscaler)"),
        ({SCALER: scaler(redis_up=0)}, "bad: Redis 127.0.0.1:6379 does not answer"),
        ({NODE: node(refused=3)}, "bad: the store refuses pairs: quorum-lost"),
        ({BALANCER: balancer(given=8)}, "bad: shedding: 4.0 a second"),
    ],
)
def test_each_event_is_told_once(pages: dict[Target, str], words: str) -> None:
    """When it begins, and not while it lasts."""
    lasting = {BALANCER: balancer(given=16)} if "shedding" in words else pages
    lasting = {NODE: node(refused=6)} if "refuses" in words else lasting
    assert told({}, pages, lasting) == [words]


WORKERS = [Target(f"http://127.0.0.1:{port}/metrics", f"worker-{port}", "worker") for port in (1, 2)]
WORKER = "snapsurge_worker_claims_total 1\nprocess_start_time_seconds {}"


def test_a_worker_that_hangs_restarts_or_goes_is_told() -> None:
    """And when it is back; a worker that began is told by the number of workers."""
    observer = Observer()
    pages = {**CALM, **dict.fromkeys(WORKERS, WORKER.format(1_000))}
    first, second = WORKERS
    for at, more, failures in (
        (2_000.0, {}, {}),
        (2_004.0, {}, {second: "no answer in time"}),  # late, but within the grace
        (2_006.0, {}, {second: "no answer in time"}),
        (2_008.0, {}, {second: "no answer in time"}),
        (2_010.0, {second: WORKER.format(1_000)}, {}),
        (2_012.0, {second: WORKER.format(2_011)}, {}),
        (2_014.0, {first: "", second: WORKER.format(2_011)}, {}),
    ):
        given = {target: text for target, text in {**pages, **more}.items() if text and target not in failures}
        round_ = round_of(at, given)
        found = observer.add(Round(at, round_.readings, failures))
    assert [f"{event.kind}: {event.words}" for event in found.events] == [
        "bad: worker-2 does not answer: no answer in time",
        "good: worker-2 answers again",
        "bad: worker-2 is another process: it restarted",
        "note: worker-1 left",
    ]


@pytest.mark.parametrize(
    ("workers", "desired", "words"),
    [
        (1, 2, ["bad: workers: 1 there, before 2; 2 are wanted: some were lost, or do not answer"]),
        (1, 1, ["note: workers: 1 wanted, before 2 (1 there)"]),
        (2, 2, []),
    ],
)
def test_workers_that_are_lost_are_told(workers: int, desired: int, words: list[str]) -> None:
    """By their number, which falls below what is wanted; one that was not wanted is no loss."""
    two = scaler(workers=2, workers_desired=2)
    assert told({SCALER: two}, {SCALER: scaler(workers=workers, workers_desired=desired)}) == words


def test_a_redis_that_lost_its_data_is_told() -> None:
    """The queue's counters are in Redis: they fall, while their reader is the same process."""
    full, empty = scaler(enqueued=90, lapsed=3), scaler(enqueued=1)
    emptied = "bad: Redis has lost data: what it counted of the queue began anew; the sweeper queues what is missing"
    assert told({SCALER: full}, {SCALER: empty}, {SCALER: empty}) == [emptied]
    new = "process_start_time_seconds 2001\n"
    assert told({SCALER: "process_start_time_seconds 1000\n" + full}, {SCALER: new + empty}) == [
        "bad: autoscaler is another process: it restarted"
    ]


def test_the_counters_of_a_new_leader_are_no_events() -> None:
    """What it counted in Redis before it led is not what happened since."""
    second = Target("http://127.0.0.1:9200/metrics", "autoscaler-2", "autoscaler")
    found = told({second: scaler(elected=0)}, {SCALER: scaler(elected=0), second: scaler(lapsed=7, enqueued=9)})
    assert found == ["note: failover of the autoscaler: autoscaler-2 leads, before it autoscaler"]


def test_counts_that_are_not_complete_are_told() -> None:
    """They are not shown, and that is no sign that all is well; of a moment that fired."""
    whole, part = {"m": (1_990.0, {"accepted": 7})}, {"m": (1_990.0, dict[str, int]())}
    observer = Observer()
    observer.add(round_of(2_000, {**CALM, SCALER: scaler(moments=whole)}))
    found = observer.add(round_of(2_002, {**CALM, SCALER: scaler(moments=part, incomplete=1)}))
    assert found.problems == ("the counts of moment m are not complete: the sweeper counts its posts again",)
    assert [event.words for event in found.events] == [*found.problems]
    found = observer.add(round_of(2_004, {**CALM, SCALER: scaler(moments=whole)}))
    assert (found.problems, found.events[-1].words) == ((), "the counts of moment m are complete again")
    later = {"m": (2_990.0, dict[str, int]())}
    assert Observer().add(round_of(2_000, {**CALM, SCALER: scaler(moments=later, incomplete=1)})).problems == ()


@pytest.mark.parametrize(
    ("pages", "words"),
    [
        ({BALANCER: balancer(nodes={"a": {"up": 0}})}, "good: node a is healthy again"),
        ({BALANCER: balancer(panic=1)}, "good: panic mode at balancer lb-1 is over"),
        ({BALANCER: balancer(draining=1)}, "good: balancer lb-1 serves again"),
        ({SCALER: scaler(redis_up=0)}, "good: Redis 127.0.0.1:6379 answers again"),
        ({SCALER: scaler(elected=0)}, "note: autoscaler autoscaler leads"),
    ],
)
def test_the_end_is_told_too(pages: dict[Target, str], words: str) -> None:
    """When all is as before."""
    assert told(pages, {}) == [words]


def test_rates_end_too() -> None:
    """Their counters stay where they are."""
    assert told({}, {BALANCER: balancer(given=8)}, {BALANCER: balancer(given=8)})[-1] == "good: shedding is over"
    assert (
        told({}, {NODE: node(refused=8)}, {NODE: node(refused=8)})[-1] == "good: the store refuses no more: quorum-lost"
    )


def test_a_node_that_comes_back_starts_slowly() -> None:
    """And is healthy without another word when the slow start is over."""
    down, slow = balancer(nodes={"a": {"up": 0}}), balancer(nodes={"a": {"starting": 0.5}})
    assert told({BALANCER: down}, {BALANCER: slow}, {}) == ["good: node a is back, in slow start"]


def test_silence_is_told_with_its_reason() -> None:
    """Of a node and of a balancer."""
    rest = {BALANCER: CALM[BALANCER], SCALER: CALM[SCALER]}
    assert told({}, rest, a="no connection: refused") == ["bad: node a does not answer: no connection: refused"]
    rest = {NODE: CALM[NODE], SCALER: CALM[SCALER]}
    assert "bad: balancer lb-1 does not answer" in told({}, rest, lb_1="no answer in time")


def test_a_new_leader_is_a_failover() -> None:
    """Another target says that it is elected."""
    second = Target("http://127.0.0.1:9200/metrics", "autoscaler-2", "autoscaler")
    found = told({second: scaler(elected=0)}, {SCALER: scaler(elected=0), second: scaler()})
    assert found == ["note: failover of the autoscaler: autoscaler-2 leads, before it autoscaler"]


def test_the_moment_has_its_events() -> None:
    """It is known, it fires, it closes; times are told from it."""
    observer = Observer()
    for at in (1_988.0, 1_990.0, 2_000.5, 2_060.0, 2_121.0, 2_123.0):
        known = {"m": (2_000.0, {"accepted": 7})} if at > 1_988.0 else {}
        found = observer.add(round_of(at, {**CALM, SCALER: scaler(moments=known)}))
    assert [(event.words, event.since_s) for event in found.events] == [
        ("moment m fires in 10 s", -10.0),
        ("moment m fires", 0.5),
        ("moment m closes: 7 accepted so far", 121.0),
    ]


def test_a_node_that_hangs_is_not_said_to_have_left() -> None:
    """Its heartbeat ends, so balancers forget it, and an autoscaler lists it no more: nobody took it out."""
    rest, observer = {BALANCER: balancer(nodes={}), SCALER: scaler()}, Observer()
    observer.add(round_of(2_000, CALM))
    found = observer.add(round_of(2_000 + GRACE_S, rest, a="no answer in time"))
    assert found.events[-1].words == "node a does not answer: no answer in time"
    assert "node a: no answer (no answer in time)" in found.problems
    found = observer.add(round_of(2_020, rest))
    assert found.events[-1].words == "node a does not answer and is no longer announced: it hangs or has crashed"
    drained = told({NODE: node(draining=1), BALANCER: balancer(nodes={})}, {})
    assert not [words for words in drained if "lost" in words]


def test_what_leaves_is_told() -> None:
    """A node that no balancer knows any more, a balancer that is no target any more."""
    observer = Observer()
    observer.add(round_of(2_000, {BALANCER: balancer(nodes={"b": {}}), SCALER: scaler()}))
    observer.add(round_of(2_002, {BALANCER: balancer(nodes={}), SCALER: scaler()}))
    found = observer.add(round_of(2_004, {SCALER: scaler()}))
    assert [event.words for event in found.events] == ["node b left", "balancer lb-1 left"]


def test_a_queue_that_is_not_measured_any_more_is_told() -> None:
    """The autoscaler answers, Redis does not answer the autoscaler; from both sides of the limit."""
    observer, said = Observer(), []
    for measured, at in (
        (2_000.0, 2_001.0),
        (2_000.0, 2_010.0),
        (2_000.0, 2_010.1),
        (2_012.0, 2_013.0),
        (0.0, 2_015.0),
    ):
        pages = {**CALM, SCALER: scaler(queue_measured_timestamp_seconds=measured)}
        said.append(observer.add(round_of(at, pages)).problems)
    found = observer.add(round_of(2_017.0, CALM))
    assert said == [(), (), (UNMEASURED,), (), ()]
    assert [event.words for event in found.events] == [UNMEASURED, "Redis answers the autoscaler again"]
