"""deploy.checks.command: options, table and exit codes; tests/e2e/test_stack_check.py runs it on a real stack."""

import argparse
import io
from pathlib import Path

import pytest

from deploy.checks import command
from deploy.checks.verdict import Check, verdict
from tests.unit.deploy.checks.sound import SOUND, telling

STATE = Path("nowhere")


def parsed(*words: str) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser()
    command.arguments(parser, STATE)
    return parser.parse_args(words)


def shown(*checks: Check, without: tuple[str, ...] = ()) -> str:
    """What a person reads."""
    out = io.StringIO()
    command.show(verdict(checks), list(without), out)
    return out.getvalue()


def test_every_check_has_a_name_of_its_own() -> None:
    """By which it can be left out."""
    names = [check.name for check in command.judged(SOUND)]

    assert len(set(names)) == len(names)
    assert verdict(command.judged(SOUND)).go
    assert not verdict(command.judged(telling("a", weak=["X"]))).go


def test_the_table_says_what_is_wrong_and_what_to_do() -> None:
    """Of what is as wanted only what was found."""
    text = shown(Check("nodes", True, "3 ready", "all"), Check("queue", False, "7 wait", "empty", "wait"))

    assert "ok  nodes  3 ready" in text
    assert [line.split() for line in text.splitlines()[1:4]] == [
        ["NO", "queue", "7", "wait"],
        ["wanted:", "empty"],
        ["do:", "wait"],
    ]
    assert "NO-GO: 1 of 2 checks are as wanted" in text


def test_what_programs_say_does_not_control_the_terminal() -> None:
    """It is shown without control characters."""
    text = shown(Check("nodes", False, "a: not ready: 503 \x1b[2J\x1b]0;x\x07", "all", "look"))

    assert "\x1b" not in text
    assert "\x07" not in text
    assert "503 \ufffd[2J" in text


def test_the_last_line_is_the_verdict() -> None:
    """Go, no-go, could not tell; and what was left out is told."""
    good, dark = Check("a", True, "", ""), Check("b", None, "no answer", "w", "r")

    assert shown(good, without=("disk",)).splitlines()[-2:] == ["left out: disk", "GO: 1 of 1 checks are as wanted"]
    assert shown(good, dark).splitlines()[-1].startswith("COULD NOT TELL: 1 of 2")


def test_a_stack_file_and_urls_exclude_each_other() -> None:
    """One of them is asked."""
    with pytest.raises(SystemExit):
        parsed("--stack", "x", "--url", "http://h:1")


def test_bad_options_are_refused() -> None:
    """Before anything is asked: no stack there, and a time in which nothing could be found out."""
    with pytest.raises(ValueError, match="there is no stack file"):
        command.run(parsed(), STATE)
    with pytest.raises(ValueError, match="are the least"):
        command.run(parsed("--timeout", "9.9"), STATE)
