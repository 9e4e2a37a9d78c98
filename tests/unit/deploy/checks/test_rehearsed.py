"""deploy.checks.rehearsed: reports of rehearsals, and plans."""

import json
import os
from pathlib import Path

import pytest

from deploy.checks.rehearsed import need_bytes, rehearsal


@pytest.mark.parametrize(
    ("report", "passed", "text"),
    [
        ({"trials": [{"fault": "no fault", "result": "passed"}]}, True, "1 of 1 trials passed"),
        (
            {"trials": [{"fault": "x", "result": "passed"}, {"fault": "node killed", "result": "void"}]},
            False,
            "1 of 2 trials passed; node killed: void",
        ),
        ({"offered": 2000, "lost": 0, "void": False, "verdict": "pass"}, True, "a replay of 2,000 pairs passed"),
        ({"offered": 2000, "lost": 1, "verdict": "fail"}, False, "a replay failed: lost 1"),
        ({"offered": 2000, "void": True, "verdict": "void"}, False, "void"),
        ({"offered": 2000, "verdict": "pass", "interrupted": True}, False, "interrupted"),
        ({}, False, "void"),
    ],
)
def test_a_report_passed_or_not(tmp_path: Path, report: object, *, passed: bool, text: str) -> None:
    """A matrix by its trials, a replay by its counts; nothing offered is no pass."""
    file = tmp_path / "report.json"
    file.write_text(json.dumps(report))
    os.utime(file, (1000.0, 1000.0))

    found = rehearsal(file, 1060.0)

    assert (found.passed, found.age_s, found.error) == (passed, 60.0, "")
    assert text in found.text


@pytest.mark.parametrize(
    ("moment_id", "now_s", "age_s"),
    [
        ("bench-19700102-x", 12 * 86400.0, 10 * 86400.0),  # the replay was ten days ago at least
        ("bench-19700102-x", 1.5 * 86400.0, 60.0),
        ("bench-19709902-x", 12 * 86400.0, 60.0),
        ("bench", 12 * 86400.0, 60.0),
    ],
)
def test_a_copy_is_as_old_as_its_replay(tmp_path: Path, moment_id: str, now_s: float, age_s: float) -> None:
    """As far as the moment's id tells; else as its file."""
    file = tmp_path / "report.json"
    file.write_text(json.dumps({"offered": 1, "verdict": "pass", "moment_id": moment_id}))
    os.utime(file, (now_s - 60, now_s - 60))

    assert rehearsal(file, now_s).age_s == age_s


def test_a_report_from_the_future_has_no_age(tmp_path: Path) -> None:
    """A minute is the clocks'."""
    file = tmp_path / "report.json"
    file.write_text("{}")
    os.utime(file, (1060.0, 1060.0))

    assert rehearsal(file, 1000.0).error == ""
    assert "from the future" in rehearsal(file, 999.0).error


def test_no_report_is_an_error(tmp_path: Path) -> None:
    """None named, none there, none that can be read."""
    bad = tmp_path / "bad.json"
    bad.write_text("{")

    assert "no report of a rehearsal is named" in rehearsal(None, 0.0).error
    assert "there is no report" in rehearsal(tmp_path / "gone", 0.0).error
    assert "cannot be read" in rehearsal(bad, 0.0).error


def test_a_plan_says_what_a_day_needs(tmp_path: Path) -> None:
    """In bytes; anything else is refused."""
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"tiers": {"lb": {}, "store": {"gb_day": 1.5, "machines": 4}}}))

    assert need_bytes(plan) == 1.5e9
    with pytest.raises(ValueError, match="the plan"):
        need_bytes(tmp_path / "gone")
