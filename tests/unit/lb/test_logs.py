"""The balancer's log lines: the form of the other programs, by a copy of their text."""

from pathlib import Path

from lb import logs
from storage import logs as others


def test_all_programs_write_the_same_lines() -> None:
    """Neither package imports the other, so each has the text; tests/unit/storage/test_logs.py says what it does."""
    assert Path(logs.__file__).read_text() == Path(others.__file__).read_text()
