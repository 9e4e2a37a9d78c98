"""Faults are read from the text of an option."""

import pytest

from bench.errors import BenchError
from bench.simulation.faults import Fault, parsed


def test_a_fault_is_kind_number_and_times() -> None:
    """Without a number the first, without a duration for ever."""
    assert parsed("node:3@40") == Fault("node", 3, 40.0, float("inf"))
    assert parsed("store@40.5+30") == Fault("store", 0, 40.5, 70.5)


@pytest.mark.parametrize("text", ["", "node", "node@", "disk@3", "node:x@3", "node@-1", "node@3+", "node@1e9x"])
def test_what_is_no_fault_is_refused(text: str) -> None:
    """In one line that says the form."""
    with pytest.raises(BenchError, match="say KIND"):
        parsed(text)
