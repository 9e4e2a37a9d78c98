"""bench.drawing: round numbers, and a page that is well-formed."""

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.drawing import page, ticks


@pytest.mark.parametrize(
    ("least", "most", "expected"),
    [(0, 10, [0, 5, 10]), (0, 4.3, [0, 2, 4]), (-3.2, 120, [0, 50, 100]), (0, 0.7, [0, 0.5]), (5, 5, [5])],
)
def test_an_axis_has_round_numbers(least: float, most: float, expected: list[float]) -> None:
    """1, 2 or 5 times a power of ten apart."""
    assert ticks(least, most, 3) == pytest.approx(expected)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(2, 12))
def test_ticks_are_few_and_lie_on_the_axis(least: float, span: float, about: int) -> None:
    """Never more than asked for, but for the end, and none outside."""
    found = ticks(least, least + span, about)

    assert len(found) <= about + 1
    assert all(least - span * 1e-6 <= value <= least + span * (1 + 1e-6) for value in found)


def test_a_page_is_an_svg_of_its_size() -> None:
    """With its title and what it was given."""
    tree = ET.fromstring(page(300, 200, "a title", ['<circle r="3"/>']))  # noqa: S314 - our own text

    assert (tree.get("width"), tree.get("height")) == ("300", "200")
    assert [one.tag.rpartition("}")[2] for one in tree] == ["rect", "text", "circle"]
