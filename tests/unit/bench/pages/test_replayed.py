"""bench.pages.replayed: the page of a replay."""

from pathlib import Path

import pytest

from bench.pages.page import BYTES_MAX
from bench.pages.replayed import CELLS_WIDE_MAX, cumulative, heat_cells, html, verdicts, write
from bench.replay.course import Course
from bench.replay.seconds import Second
from tests.unit.bench.pages.reports_made import report


def test_a_page_shows_everything_and_fits(tmp_path: Path) -> None:
    """Verdict, counts, each drawing, the conditions; predicted bands below the lines."""
    sealed = tmp_path / "sealed.json"
    sealed.write_text('{"figures": {"accepted@0": {"p10": 1, "p90": 2}}}')
    write(report(), tmp_path / "page.html", sealed)
    text = (tmp_path / "page.html").read_text()

    for heading in (
        *("Promises", "Arrivals", "Times and cost", "Offered, accepted, goodput", "Upload time over the burst"),
        *(
            "Upload and ready time",
            "On time, by the speed",
            "Queue",
            "Oldest job",
            "Workers",
            "CPU by tier",
            "What was run",
        ),
    ):
        assert f"<h2>{heading}" in text
    assert "accepted, and as predicted" in text
    assert len(text.encode()) < BYTES_MAX


def test_a_replay_of_which_little_is_known_has_a_page_too() -> None:
    """Nothing was accepted, no scaler, no stack file."""
    text = html(report(seconds=(), uplinks=(), course=Course(window_s=20, arrivals=()), cpu_ms_per_pair={}), {})

    assert "<h2>Offered" in text
    assert "<h2>Workers" not in text


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, [(True, "No pair of")]),
        ({"lost": 2, "wrongly_late": 1}, [(False, "2 lost, 1 wrongly late")]),
        ({"bad_renditions": 3}, [(False, "3 bad renditions")]),
        ({"void": True, "voided": ("lagged by 900 ms",)}, [(None, "lagged by 900 ms"), (True, "No pair of")]),
        ({"unmet": ("nobody was accepted",)}, [(False, "Failed: nobody was accepted."), (True, "No pair of")]),
        ({"unmet": ("not checked",), "unchecked": "GET"}, [(False, "Failed: not checked.")]),
        ({"interrupted": True, "half": 1}, [(None, "Interrupted"), (False, "1 half")]),
    ],
)
def test_a_void_run_says_so_before_it_praises(changed: dict[str, object], said: list[tuple[bool | None, str]]) -> None:
    """Each verdict with what it is about."""
    found = list(verdicts(report(**changed)))

    assert [one.good for one in found] == [good for good, _ in said]
    assert all(words in one.text for one, (_, words) in zip(found, said, strict=True))


def test_a_line_of_what_never_came_stays_below_all() -> None:
    """Two of four arrivals got there."""
    assert cumulative([{"10.0": 1}, {"20.0": 1}], 4) == [(10.0, 0.25), (20.0, 0.5)]
    assert cumulative([], 4) == []


def test_a_long_burst_has_wider_cells() -> None:
    """So the page stays small; no pair is left out."""
    seconds = [Second(t=t, upload_ms={"100.000": 2}) for t in range(CELLS_WIDE_MAX * 3)]
    step, cells = heat_cells(seconds)

    assert step == 3
    assert len(cells) == CELLS_WIDE_MAX
    assert set(cells.values()) == {6}
