"""Prints the table of all attacks from bench/results/attack.json at the end of a run that played whole suites."""

import time

import pytest

from tests.attack.report import RESULTS, saved, table

_BEGAN = time.time()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table once, and only if this run has written the file."""
    if RESULTS.exists() and RESULTS.stat().st_mtime > _BEGAN:
        terminalreporter.write_line(table(saved()))
