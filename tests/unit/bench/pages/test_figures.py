"""bench.pages.figures: the data that a figure holds."""

import math

from bokeh.models import ColumnDataSource, Model, VArea

from bench.pages.figures import Band, bars, distribution, heat, intervals, lines


def data(model: Model) -> list[dict[str, list[object]]]:
    """The columns of every source in a figure."""
    return [dict(source.data) for source in model.select({"type": ColumnDataSource})]


def test_each_line_has_its_colour_and_its_name_beside_the_drawing() -> None:
    """A band is drawn for a line that is there, and for no other."""
    bands = {"offered": [Band(0.0, 1.0, 3.0)], "elsewhere": [Band(0.0, 1.0, 900.0)]}
    found = lines("y", {"offered": [(0, 1), (1, 2)], "shed": [(0, 0)]}, window_s=10, bands=bands, filled="offered")

    assert [name for name, _ in found.keys] == ["offered, and as predicted", "shed"]
    assert len({colour for _, colour in found.keys}) == 2
    areas = [one for one in found.model.renderers if isinstance(one.glyph, VArea)]
    assert len(areas) == 3  # the window, the band, the area below offered
    assert [900.0, 900.0] not in [columns.get("y2") for columns in data(found.model)]


def test_a_heat_map_has_a_cell_for_each_count() -> None:
    """From its second over so many seconds."""
    (columns,) = data(heat({(4, 100.0, 120.0): 7}, 2, "ms").model)

    assert columns == {"left": [4], "right": [6], "bottom": [100.0], "top": [120.0], "count": [7]}


def test_a_share_goes_from_none_to_all() -> None:
    """Whatever the bars are."""
    assert bars(["a"], [0.2], "y", "x", share=True).model.y_range.end == 1.0
    assert math.isnan(bars(["a"], [7.0], "y", "x").model.y_range.end)  # as high as the bars


def test_a_distribution_names_its_lines() -> None:
    """As the others."""
    assert [name for name, _ in distribution({"upload": [(1.0, 0.5)]}).keys] == ["upload"]


def test_intervals_are_parts_of_what_is_allowed() -> None:
    """So that one line is the limit of all."""
    (columns,) = [one for one in data(intervals(["p99"], [-50.0], [200.0], [100.0]).model) if "left" in one]

    assert (list(columns["left"]), list(columns["right"])) == ([-0.5], [2.0])
