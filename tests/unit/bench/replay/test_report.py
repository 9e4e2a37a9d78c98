"""The report: counts, percentiles, and when a run is void."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from bench.config import Config
from bench.outcome import Attempt, Outcome
from bench.replay import report as reports
from bench.replay.beats import Generator
from bench.replay.check import Finding
from bench.replay.cleanup import Cleanup
from bench.replay.course import Course
from bench.replay.report import Origin, Percentiles, Report, build, percentiles
from bench.replay.run import Run
from bench.replay.seconds import Spent
from bench.service import Moment, Post
from bench.traces.trace import Row

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
T0 = START.timestamp()
COUNTS = ["offered", "accepted", "replayed", "shed", "limited", "failed", "unknown", "lost", "half", "doubled"]
MORE = ["wrongly_late", "ready", "rejected", "latency_ms", "ready_ms", "cpu_ms_per_pair", "lagged"]
CONTRACT = [*COUNTS, *MORE]
ORIGIN = Origin(trace="t.gz", trace_sha256="ab" * 32, scale=2.0, settings={"nodes": "2"})


def outcome(user: str, *statuses: int, lag_s: float = 0.0, replayed: bool = False) -> Outcome:
    """Tries of half a second each."""
    tries = [Attempt(T0 + lag_s + n / 2, T0 + lag_s + (n + 1) / 2, status) for n, status in enumerate(statuses)]
    return Outcome(user=user, intended=T0, attempts=tuple(tries), post_id=user, replayed=replayed)


def run(**changes: Any) -> Run:
    """Five arrivals: two accepted, one replayed, one refused after a 503, one whose trace broke both tries off."""
    outcomes = (
        outcome("a", 201),
        outcome("b", 503, 429, 201),
        outcome("c", 0, 200, replayed=True),
        outcome("d", 503, 403),
        outcome("e", 0, 0),
    )
    posts = [Post(id=user, user_id=user, received_at=START, state="ready", late=user == "b") for user in "abcx"]
    values: dict[str, Any] = {
        "moment": Moment("m", START, START, 20),
        "outcomes": outcomes,
        "posts": tuple(posts),
        "rows": tuple(
            Row(t=0, u=user, f=2, b=2, up=1000 + at, d=(1, 2) if user == "e" else UNSET)
            for at, user in enumerate("abcde")
        ),
        "ready_s": {"a": 1.0, "b": 2.0, "c": 3.0},
        "ready_within_s": 1.0,
        "pending": 0,
        "findings": (),
        "bad_renditions": (),
        "cpu_ms": {"lb": 0.9, "node": 3.0, "worker": None},
        "spent": (Spent(T0, {"lb": 0.0}), Spent(T0 + 2, {"lb": 0.9})),
        "generators": (Generator(name="this process", offered=5, lag_p99_ms=2.0),),
        "course": Course(window_s=20, arrivals=(3, 2)),
        "seconds": 12.34,
    }
    return Run(**(values | changes))


def made(**changes: Any) -> Report:
    """The report of such a run."""
    return build(run(**changes), Config(), ORIGIN, ["http://127.0.0.1:1"])


def of(*outcomes: Outcome, **changes: Any) -> Report:
    """The report of these uploads, which the trace does not break off."""
    rows = tuple(Row(t=0, u=one.user, f=2, b=2, up=9) for one in outcomes)
    return made(outcomes=outcomes, rows=rows, **changes)


def test_every_arrival_is_counted_once() -> None:
    """Offered is accepted, failed and unknown; answers are counted apart."""
    report = made()

    assert (report.offered, report.accepted, report.failed, report.unknown) == (5, 3, 1, 1)
    assert (report.replayed, report.shed, report.limited, report.attempts) == (1, 2, 1, 10)
    assert (report.ready, report.rejected, report.on_time, report.late) == (3, 0, 2, 1)


def test_latency_counts_the_accepted_from_their_intended_time() -> None:
    """Retries and their waits included."""
    report = made()

    assert report.latency_ms == Percentiles(1000.0, 1500.0, 1500.0, 1500.0)
    assert report.ready_ms.max == 3000.0
    assert report.cpu_ms_per_pair == {"lb": 0.3, "node": 1.0, "worker": None}


def test_a_report_says_what_it_is_of_and_how_it_went_by_second_and_by_uplink() -> None:
    """What comparisons and drawings need; the seconds add up to the report's counts."""
    report = made()

    assert (report.trace, report.trace_sha256, report.scale) == ("t.gz", "ab" * 32, 2.0)
    assert report.settings == {"nodes": "2"}
    assert [second.t for second in report.seconds] == [0, 1]
    for name in ("offered", "accepted", "shed", "limited"):
        assert sum(getattr(second, name) for second in report.seconds) == getattr(report, name)
    assert sum(second.failed for second in report.seconds) == report.failed + report.unknown
    assert [second.cpu_ms for second in report.seconds] == [{"lb": 0.45}, {"lb": 0.45}]
    assert sum(decile.offered for decile in report.uplinks) == report.offered
    assert sum(decile.on_time for decile in report.uplinks) == report.on_time


def test_the_file_has_the_keys_of_the_contract(tmp_path: Path) -> None:
    """Exactly those, first, and more after them."""
    reports.write(made(), tmp_path / "deep" / "r.json")
    found = json.loads((tmp_path / "deep" / "r.json").read_text())

    assert list(found)[: len(CONTRACT)] == CONTRACT
    assert set(found["latency_ms"]) == {"p50", "p90", "p99", "max"}
    assert set(found["cpu_ms_per_pair"]) == {"lb", "node", "worker"}
    assert found["composite_url"] == "http://127.0.0.1:1/v1/posts/a/photos/composite/feed"


@pytest.mark.parametrize("kind", ["lost", "half", "doubled", "wrongly_late"])
def test_a_broken_promise_is_counted_and_not_good(kind: Any) -> None:
    """Whatever its kind."""
    report = made(findings=(Finding(kind, "a", "why"),))

    assert getattr(report, kind) == 1
    assert not report.good
    assert report.examples == (f"{kind} a: why",)


def test_a_run_without_fault_is_good() -> None:
    """Refusals are no broken promise; a rendition that cannot be used is one."""
    assert made().good
    assert not made(bad_renditions=("a front/thumb: cannot be decoded",)).good


def test_a_sender_that_lagged_makes_the_run_void() -> None:
    """By how much is said; inside the gate it is 0."""
    generators = tuple(Generator(name=f"generator {n}", lag_p99_ms=lag) for n, lag in ((1, 250.0), (2, 250.1)))
    report = made(generators=generators)

    assert (report.verdict, report.void, report.lagged) == ("void", True, 250.1)
    assert report.voided == ("generator 2 lagged by 250.1 ms (p99): the trace was not sent on time",)
    assert (report.good, report.exit_code) == (False, 3)
    inside = made(generators=generators[:1])
    assert (inside.verdict, inside.void, inside.lagged, inside.exit_code) == ("pass", False, 0.0, 0)


@pytest.mark.parametrize(
    ("changes", "verdict", "code"),
    [
        ({}, "pass", 0),
        ({"outcomes": (), "posts": ()}, "void", 3),
        ({"faults": ("generator 2 died",)}, "void", 3),
        ({"faults": ("generator 2 died",), "findings": (Finding("wrongly_late", "a", ""),)}, "void", 3),
        ({"findings": (Finding("wrongly_late", "a", ""),)}, "fail", 1),
        ({"faults": ("generator 2 died",), "findings": (Finding("lost", "a", ""),)}, "fail", 1),
        ({"stopped_by": "shed>5%: 9.0%"}, "fail", 1),
        ({"pending": 1}, "fail", 1),
        ({"pending": 1, "faults": ("generator 2 died",)}, "void", 3),
        ({"outcomes": (outcome("a", 503, 503), outcome("b", 500)), "posts": ()}, "fail", 1),
        ({"outcomes": (outcome("a", 503), outcome("b", 201))}, "pass", 0),
        ({"cleanup": Cleanup(3)}, "pass", 0),
        ({"cleanup": Cleanup(3, ("p: 503",))}, "fail", 1),
        ({"interrupted": True}, "pass", 130),
    ],
)
def test_the_verdict_follows_from_the_run(changes: dict[str, Any], verdict: str, code: int) -> None:
    """What is broken stays broken in a void run; nothing sent is no pass."""
    report = made(**changes)

    assert (report.verdict, report.exit_code) == (verdict, code)
    assert report.good == (code == 0)


@pytest.mark.parametrize(
    ("ends", "unserved"),
    [
        *(((status,), 1) for status in (500, 501, 502, 504)),
        *(((status,), 0) for status in (503, 507, 403, 408, 429)),
        ((503, 0), 1),
        ((0, 503), 0),
        ((500, 201), 0),
    ],
)
def test_who_got_an_error_to_the_end_was_not_served(ends: tuple[int, ...], unserved: int) -> None:
    """One of a hundred may be; a refusal by plan, or of a bad upload, is an answer that was meant."""
    good = tuple(outcome(f"u{n}", 201) for n in range(98))
    report = of(*good, outcome("x", 201), outcome("y", *ends))
    assert (report.unserved, report.verdict, report.unmet) == (unserved, "pass", ())
    report = of(*good, outcome("x", *ends), outcome("y", *ends))
    assert (report.unserved, report.verdict) == (2 * unserved, "fail" if unserved else "pass")
    said = "users who got an error to the end, or no answer: 2 of 100, more than 1%"
    assert report.unmet == ((said,) if unserved else ())


def test_a_void_run_is_not_failed_by_who_was_not_served() -> None:
    """It may be its sender's fault."""
    report = of(outcome("x", 500), outcome("y", 201), faults=("generator 2 died",))
    assert (report.verdict, report.unserved, report.unmet) == ("void", 1, ())


def test_a_try_that_the_trace_broke_off_is_not_the_services_fault() -> None:
    """But one more without an answer is."""
    assert made().unserved == 0
    assert made(outcomes=(outcome("e", 0, 0, 0), outcome("a", 201))).unserved == 1


def test_posts_that_could_not_be_checked_fail_the_run() -> None:
    """What is lost is not known; a void run stays void."""
    report = made(unchecked="GET /v1: no answer", posts=())
    assert (report.verdict, report.unmet) == ("fail", ("the posts could not be checked: GET /v1: no answer",))
    assert report.examples[0] == report.unmet[0]
    assert made(unchecked="GET", faults=("generator 2 died",)).verdict == "void"


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], (None,) * 4), ([7.0], (7.0,) * 4), (list(range(1, 101)), (50, 90, 99, 100)), ([1, 2], (1, 2, 2, 2))],
)
def test_percentiles_are_nearest_rank(values: list[float], expected: tuple[float | None, ...]) -> None:
    """A value that was measured, never one in between."""
    assert msgspec.structs.astuple(percentiles(values)) == expected


def test_what_was_sent_twice_is_counted() -> None:
    """Of accepted uploads: bytes of all tries to bytes of the bodies; tries that went on; uploads that break."""
    tries = (Attempt(T0, T0 + 1, 0, sent=60), Attempt(T0 + 2, T0 + 3, 201, resumed=True, sent=50))
    resumed = Outcome(user="a", intended=T0, attempts=tries, post_id="a", length=100)
    refused = msgspec.structs.replace(resumed, user="b", attempts=(*tries[:1], Attempt(T0 + 2, T0 + 3, 403)))
    rows = (Row(t=0, u="a", f=50, b=50, up=9, d=(60,)), Row(t=0, u="b", f=50, b=50, up=9))
    report = made(outcomes=(resumed, refused), rows=rows)

    assert (report.broken, report.resumed, report.sent_ratio) == (1, 1, 1.1)
    assert (report.breaks_by, made().sent_ratio) == (None, None)
