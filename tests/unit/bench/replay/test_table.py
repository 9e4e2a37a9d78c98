"""The report as people see it."""

import io

import msgspec
from rich.console import Console

from bench.replay.cleanup import Cleanup
from bench.replay.course import Course
from bench.replay.report import Percentiles, Report
from bench.replay.table import table

REPORT = Report(
    **dict.fromkeys(("offered", "accepted", "ready", "on_time", "attempts"), 5),
    **dict.fromkeys(("replayed", "shed", "limited", "failed", "unknown", "half", "doubled", "wrongly_late"), 0),
    **dict.fromkeys(("rejected", "pending", "late", "bad_renditions"), 0),
    lost=3,
    latency_ms=Percentiles(1000.0, 1500.0, 1500.0, 1500.4),
    ready_ms=Percentiles(),
    cpu_ms_per_pair={"lb": 0.3, "node": 1.0, "worker": None},
    lagged=0.0,
    void=False,
    lag_ms=Percentiles(1.0, 1.0, 1.0, 1.0),
    ready_within_ms=1000.0,
    took_s=12.3,
    moment_id="m",
    composite_url=None,
    trace="t",
    target=(),
    statuses={},
    examples=(),
    course=Course(window_s=20, arrivals=()),
    seconds=(),
    uplinks=(),
    trace_sha256="",
    scale=1.0,
    settings={},
    verdict="fail",
    voided=(),
    stopped_by=None,
    cleanup=None,
    generators=(),
    machine={},
)


def shown(report: Report) -> str:
    """The table as text."""
    console = Console(width=120, file=io.StringIO())
    with console.capture() as capture:
        console.print(table(report))
    return capture.get()


def test_the_table_shows_counts_and_times() -> None:
    """What is not known is a dash."""
    text = shown(REPORT)

    assert "1000 / 1500 / 1500 / 1500" in text
    assert "- / - / - / -" in text
    assert "lb 0.3, node 1.0, worker -" in text
    assert "VOID" not in text


def test_breaks_have_their_lines_and_say_model() -> None:
    """A trace without breaks has no such lines."""
    text = shown(msgspec.structs.replace(REPORT, breaks_by="model", broken=4, resumed=3, sent_ratio=1.0123))

    assert "uploads that break (model)" in text
    assert "4, 3 tries resumed" in text
    assert "1.012" in text
    assert "break" not in shown(REPORT)


def test_a_void_run_says_so_in_words() -> None:
    """With the lag."""
    why = "generator 2 (b, pid 9) lagged by 300.0 ms (p99): the trace was not sent on time"
    text = shown(msgspec.structs.replace(REPORT, void=True, lagged=300.0, voided=(why,), verdict="void"))

    assert "VOID" in text
    assert "generator 2 (b, pid 9) lagged by 300.0 ms" in text


def test_a_rehearsal_tells_what_stopped_it_and_what_it_left_behind() -> None:
    """And the verdict."""
    cleanup = Cleanup(7, ("p: 503",))
    text = shown(msgspec.structs.replace(REPORT, stopped_by="shed>5%: 9.0% in 10 s", cleanup=cleanup))

    assert "shed>5%: 9.0% in 10 s" in text
    assert "7 posts deleted, NOT deleted: p: 503" in text
    assert "fail" in text


def test_why_a_run_failed_is_told() -> None:
    """Where no promise was broken."""
    text = shown(msgspec.structs.replace(REPORT, unserved=7, unmet=("users who got an error: 7 of 9",)))

    assert "FAILED" in text
    assert "users who got an error: 7 of 9" in text
    assert "FAILED" not in shown(REPORT)


def test_what_a_program_said_is_shown_as_it_is() -> None:
    """Brackets are no colours."""
    cleanup = Cleanup(7, ("p: [/b]",))
    text = shown(msgspec.structs.replace(REPORT, voided=("generator 1 ([::1]) died: [/x]",), cleanup=cleanup))

    assert "([::1]) died: [/x]" in text
    assert "p: [/b]" in text
