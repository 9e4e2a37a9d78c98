"""lb.measure: the figures are those of the ring; no test asserts a duration."""

import json

import pytest

from lb.measure import ketama_max, main


def test_the_figures_are_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """A row for each number of nodes, all figures numbers, no key moved that need not."""
    main(["--quick", "--slots", "4096", "--nodes", "3", "5"])
    said = json.loads(capsys.readouterr().out)

    assert [row["nodes"] for row in said["rows"]] == [3, 5]
    for row in said["rows"]:
        assert row["moved_wrongly"] == 0 < row["moved"]
        assert 1 <= row["share_max"] < 1.2
        assert all(value >= 0 for name, value in row.items() if not name.startswith("stall"))


def test_the_textbook_ring_is_less_even() -> None:
    """160 points a node leave the largest share well over the mean."""
    assert 1.05 < ketama_max(50) < 1.5
