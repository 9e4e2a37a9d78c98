"""Costs as a file."""

from pathlib import Path

import pytest

from bench.capacity.costs import CostsError, Line, read


def test_a_cost_grows_with_the_bytes() -> None:
    """Fixed, and so much for each million bytes."""
    assert Line(fixed_ms=1.0, mb_ms=2.0).ms(500_000) == 2.0


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    """The file itself; a tier in it."""
    path = tmp_path / "costs.json"
    with pytest.raises(CostsError, match="make bench"):
        read(path)
    path.write_text('{"measured_at": "2026-11-30T00:00:00Z", "machine": {}, "code": "x"}')
    with pytest.raises(CostsError, match="required field `lb`"):
        read(path)
