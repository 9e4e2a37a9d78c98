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
