"""A description in words."""

import random

import msgspec
import numpy as np
import pytest

from bench.traces.columns import NO_BREAK, Columns
from bench.traces.description import describe
from bench.traces.lines import Header
from bench.traces.synthesis import Shape, columns
from bench.traces.wording import amount, bars, lines

HEADER = Header(kind="synthetic", window_s=120)


def words(found: Columns) -> str:
    """All lines."""
    return "\n".join(lines(describe("t.gz", "ab" * 32, HEADER, found)))


def test_every_figure_has_its_line() -> None:
    """With its unit, and the goodness of fit with its sense."""
    shown = words(columns(Shape(posters=3000), random.Random(1)))

    assert shown.startswith("t.gz: synthetic, window 120 s, sha256 abababababab\narrivals   3,000 users")
    for part in ("% on time", "in 60 s", "no. 1 3,000", "answers: none 3,000", "in flight  peak", "uplink ", "± "):
        assert part in shown
    assert "arrivals: KS distance" in shown
    assert "fits closely: the shares up to any value differ by at most" in shown
    assert "like it    python -m bench synth --posters 3000" in shown


def test_breaks_have_their_line_and_say_model() -> None:
    """There is no published share of uploads that break, so that of a synthetic trace is a model."""
    found = columns(Shape(posters=4), random.Random(1))
    assert "breaks" not in words(found)
    table = np.array([[9], [NO_BREAK], [NO_BREAK], [NO_BREAK]])
    shown = words(msgspec.structs.replace(found, d=table, p=table * 1000))

    assert "breaks     25.0 % of the uploads, 1 in all, by model" in shown
    assert "pauses min 9.0 s" in shown


def test_few_arrivals_have_no_fit() -> None:
    """And no command."""
    shown = words(columns(Shape(posters=3), random.Random(1)))
    assert "too few arrivals to fit" in shown
    assert "synth" not in shown.split("\n", 1)[1]


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0 B"), (999, "999 B"), (999.6, "1 kB"), (1234567, "1.23 MB"), (5e15, "5e+03 TB")]
)
def test_bytes_have_a_decimal_unit(value: float, shown: str) -> None:
    """Three digits."""
    assert amount(value) == shown


def test_bars_show_the_greatest_of_each_part() -> None:
    """Nothing is a space, one of many is seen, the most is the highest bar."""
    assert bars([0, 1, 50, 100]) == " ▁▄█"
    assert bars([0] * 599 + [7]) == " " * 59 + "█"
    assert bars([]) == bars([0]) == ""
