"""storage.failures: each kind once a second, with what was left out, and nothing that does not belong in a log."""

import pytest

from storage.failures import EVERY_S, KIND_CHARS_MAX, KINDS_MAX, Failures


class Clock:
    """A clock that the test moves."""

    now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def test_a_kind_is_logged_once_a_second(caplog: pytest.LogCaptureFixture) -> None:
    """Another kind at once; the next line of the same says how many were left out."""
    clock = Clock()
    failures = Failures("bucket", clock)
    for _ in range(5):
        failures.failed("PUT: 503 SlowDown", "wait")
    failures.failed("PUT: 403 AccessDenied", "allow it")
    clock.now = EVERY_S
    failures.failed("PUT: 503 SlowDown", "wait")

    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 3
    assert (
        lines[0]
        == "store bucket failed: PUT: 503 SlowDown; uploads are answered 503 and jobs are retried. What to do: wait"
    )
    assert "403 AccessDenied" in lines[1]
    assert "503 SlowDown (4 more since the last line)" in lines[2]


def test_what_a_store_says_cannot_break_a_line_or_fill_the_memory(caplog: pytest.LogCaptureFixture) -> None:
    """Odd characters, long codes, many codes."""
    failures = Failures("bucket", Clock())
    failures.failed("PUT: 400 a\nb\x1b[31m<Key>" + "x" * 1000, "look")
    for number in range(KINDS_MAX * 3):
        failures.failed(f"PUT: 400 Code{number}", "look")

    line = caplog.records[0].getMessage()
    assert "a?b?[31m?Key?" in line
    assert len(line) < KIND_CHARS_MAX + 150
    # The clock stands still: a kind that is remembered is left out, the oldest are forgotten and logged again.
    caplog.clear()
    for number in (KINDS_MAX * 3 - 1, KINDS_MAX * 2, KINDS_MAX * 2 - 1):
        failures.failed(f"PUT: 400 Code{number}", "look")
    assert [record.getMessage().split(";")[0] for record in caplog.records] == [
        f"store bucket failed: PUT: 400 Code{KINDS_MAX * 2 - 1}"
    ]
