"""bench.comparing.reports: what cannot be compared is refused, and every difference is named."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.comparing.reports import NotComparable, read, refuse_different
from tests.unit.bench.comparing.reports_made import measured, report

COUNTS = ("offered", "accepted", "failed", "unknown", "pending", "attempts", "shed", "lost", "unserved")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (json.dumps(report(void=True)), "void"),
        (json.dumps(report(verdict="void")), "void"),
        (json.dumps(report(interrupted=True)), "interrupted"),
        (json.dumps(report(stopped_by="shed>5%: 9 %", verdict="fail")), r"stopped by a rule \(shed>5%: 9 %\)"),
        (json.dumps(report(verdict="fail")), "the run failed, and by nothing that is compared"),
        (json.dumps(report(verdict="fail", unserved=1)), "the run failed, and by nothing that is compared"),
        (json.dumps(report(verdict="banana")), "no report.*banana"),
        (json.dumps(report(pending=5)), "5 posts were not ready"),
        *((json.dumps(report(**{name: -1})), "no report.*>= 0") for name in COUNTS),
        (json.dumps(report(latency_ms={"p99": -5})), "no report.*>= 0"),
        (json.dumps(report(accepted=101, failed=0)), "offered 100 is not accepted 101"),
        (json.dumps(report(failed=50)), r"is not accepted 99 \+ failed 50 \+ unknown 0"),
        (json.dumps(report(attempts=99, shed=0)), "99 attempts of 100 users"),
        (json.dumps(report(shed=111)), "111 answers of 503 to 110 attempts"),
        (json.dumps(report(latency_ms={})), "99 were accepted, and the time of none is known"),
        (json.dumps(report(latency_ms={"p90": 1001.0, "p99": 1000.0})), "a p90 of 1001 ms above the p99 of 1000 ms"),
        ("{", "no report"),
        (json.dumps({"offered": 3}), "no report"),
    ],
)
def test_a_run_that_measured_nothing_is_refused(tmp_path: Path, content: str, says: str) -> None:
    """Void, interrupted, stopped, failed, impossible, or no report at all; a good one is read."""
    path = tmp_path / "run.json"
    path.write_text(content)
    with pytest.raises(NotComparable, match=says) as refused:
        read(path)
    assert len(str(refused.value).splitlines()) == 1
    path.write_text(json.dumps(report()))
    assert read(path).offered == 100
    with pytest.raises(NotComparable, match="No such file"):
        read(tmp_path / "none.json")


@pytest.mark.parametrize("changed", [{"lost": 1}, {"wrongly_late": 1}, {"unserved": 2}])
def test_a_run_that_failed_by_what_is_compared_is_read(tmp_path: Path, changed: dict[str, int]) -> None:
    """A broken promise, or more users without service than a run may have: the comparison calls it worse."""
    path = tmp_path / "run.json"
    path.write_text(json.dumps(report(verdict="fail", **changed)))
    assert read(path).verdict == "fail"


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"trace_sha256": "cd" * 32}, "trace_sha256: abab.* in a and 1 more, cdcd.* in c"),
        ({"scale": 2.0}, "scale: 1 in a and 1 more, 2 in c"),
        ({"machine": {"system": "Linux", "cpus": 4}}, "machine.cpus: 2 in a and 1 more, 4 in c"),
        ({"machine": {"system": "Linux"}}, r"machine.cpus: 2 in a and 1 more, \(not there\) in c"),
        ({"settings": {"store": "file"}}, "settings.store: minio in a and 1 more, file in c"),
        ({"settings": {"store": "minio", "nodes": "3"}}, r"settings.nodes: \(not there\) in a and 1 more, 3 in c"),
    ],
)
def test_every_difference_is_named(changed: dict[str, Any], says: str) -> None:
    """Trace, scale, machine and settings must be the same; the rest may differ."""
    same = [(Path("a"), measured()), (Path("b"), measured(offered=3, shed=0))]
    refuse_different(same)
    with pytest.raises(NotComparable, match=says):
        refuse_different([*same, (Path("c"), measured(**changed))])


def test_all_differences_are_listed_at_once() -> None:
    """One line each."""
    found = [(Path("a"), measured()), (Path("b"), measured(scale=3.0, settings={}))]
    with pytest.raises(NotComparable) as refused:
        refuse_different(found)
    assert len(str(refused.value).splitlines()) == 3


def test_one_run_is_not_two() -> None:
    """A copy of a report would narrow the interval without a measurement."""
    one = measured(moment_id="m")
    with pytest.raises(NotComparable, match="more than once: a, copy"):
        refuse_different([(Path("a"), one), (Path("b"), measured()), (Path("copy"), one)])
