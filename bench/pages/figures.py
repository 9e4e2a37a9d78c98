"""The figures of a report: lines, steps, bars and a heat map over the seconds of a burst, all of one look.

Values are plain numbers; a figure decides colours, axes and what a hover tells. A band is drawn below the lines: what
was predicted before.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import msgspec
from bokeh.models import ColumnDataSource, HoverTool, LogColorMapper, Model, NumeralTickFormatter, Range1d
from bokeh.models.annotations.legends import ColorBar  # its stub is not exported by bokeh.models
from bokeh.plotting import figure

HEIGHT: Final = 260
COLOURS: Final = ("#3b82f6", "#f97316", "#16a34a", "#a855f7", "#94a3b8", "#dc2626")
WINDOW: Final = "#94a3b8"
HEAT: Final = ("#bfdbfe", "#93c5fd", "#60a5fa", "#3b82f6", "#2563eb", "#7e22ce", "#be185d", "#dc2626")
SHARE_TICKS: Final = "0 %"

Points = Sequence[tuple[float, float]]


class Figure(msgspec.Struct, frozen=True):
    """A drawing, and the names of its colours; they stand beside it, where a narrow page can wrap them."""

    model: Model
    keys: tuple[tuple[str, str], ...] = ()


class Band(msgspec.Struct, frozen=True):
    """What was predicted for the second `t`: of ten runs, eight lie between `low` and `high`."""

    t: float
    low: float
    high: float


def frame(y_label: str, *, x_label: str = "seconds after the moment", **more: object) -> Any:  # noqa: ANN401 - Bokeh's type
    """An empty figure as wide as its place."""
    made = figure(
        height=HEIGHT,
        sizing_mode="stretch_width",
        tools="xpan,xwheel_zoom,box_zoom,reset",
        active_scroll=None,
        toolbar_location=None,
        x_axis_label=x_label,
        y_axis_label=y_label,
        min_width=200,
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=None,
        **cast("dict[str, Any]", more),
    )
    made.toolbar.logo = None
    made.axis.axis_label_text_font_style = "normal"
    return made


def lines(
    y_label: str,
    drawn: Mapping[str, Points],
    *,
    window_s: float | None = None,
    bands: Mapping[str, Sequence[Band]] | None = None,
    steps: bool = False,
    filled: str = "",
) -> Figure:
    """A line for each name over the seconds; steps hold a value until the next one. The window is shaded.

    `filled` is the name of a line that others may cover, so the area below it is filled.
    """
    bands = {name: band for name, band in (bands or {}).items() if name in drawn}
    made = frame(y_label)
    made.y_range.start = 0
    if window_s:
        made.varea(
            x=[0, window_s], y1=[0, 0], y2=[_top(drawn, bands)] * 2, fill_color=WINDOW, fill_alpha=0.12, level="image"
        )
    for colour, (name, points) in zip(COLOURS, drawn.items(), strict=False):
        predicted = bands.get(name, ())
        if predicted:
            made.varea(
                x=[band.t for band in predicted],
                y1=[band.low for band in predicted],
                y2=[band.high for band in predicted],
                fill_color=colour,
                fill_alpha=0.25,
            )
        source = ColumnDataSource({"t": [t for t, _ in points], "value": [value for _, value in points]})
        if name == filled:
            made.varea(x="t", y1=0, y2="value", source=source, fill_color=colour, fill_alpha=0.2)
        draw = made.step if steps else made.line
        more = {"mode": "after"} if steps else {}
        drawn_line = draw("t", "value", source=source, line_color=colour, line_width=2, **more)
        made.add_tools(
            HoverTool(renderers=[drawn_line], tooltips=[(name, "@value{0,0.[00]}"), ("second", "@t{0.[0]}")])
        )
    predicted_too = {name: f"{name}, and as predicted" for name in bands}
    return Figure(made, tuple((predicted_too.get(name, name), colour) for name, colour in _keys(drawn)))


def _keys(drawn: Mapping[str, Points]) -> list[tuple[str, str]]:
    return list(zip(drawn, COLOURS, strict=False))


def _top(drawn: Mapping[str, Points], bands: Mapping[str, Sequence[Band]]) -> float:
    values = [value for points in drawn.values() for _, value in points]
    return 1.05 * max([*values, *(band.high for many in bands.values() for band in many), 1e-9])


def distribution(drawn: Mapping[str, Points]) -> Figure:
    """The part of all arrivals that took at most so many milliseconds."""
    made = frame("of all arrivals", x_label="milliseconds", x_axis_type="log", y_range=Range1d(start=0, end=1.02))
    made.yaxis.formatter = NumeralTickFormatter(format=SHARE_TICKS)
    for colour, (name, points) in zip(COLOURS, drawn.items(), strict=False):
        source = ColumnDataSource({"ms": [ms for ms, _ in points], "part": [part for _, part in points]})
        line = made.step("ms", "part", source=source, mode="after", line_color=colour, line_width=2)
        made.add_tools(HoverTool(renderers=[line], tooltips=[(name, "@ms{0,0} ms"), ("of all", "@part{0.0 %}")]))
    return Figure(made, tuple(_keys(drawn)))


def heat(cells: Mapping[tuple[int, float, float], int], step: int, y_label: str) -> Figure:
    """How many (the colour) of the arrivals of `step` seconds took so long: cells by (second, least ms, most ms)."""
    made = frame(y_label, y_axis_type="log")
    source = ColumnDataSource(
        {
            "left": [t for t, _, _ in cells],
            "right": [t + step for t, _, _ in cells],
            "bottom": [low for _, low, _ in cells],
            "top": [high for _, _, high in cells],
            "count": list(cells.values()),
        }
    )
    most = max(cells.values(), default=1)
    mapper = LogColorMapper(palette=HEAT, low=1, high=max(most, 2))
    quads = made.quad(
        left="left", right="right", bottom="bottom", top="top", source=source,
        fill_color={"field": "count", "transform": mapper}, line_color=None,
    )  # fmt: skip
    made.add_tools(
        HoverTool(renderers=[quads], tooltips=[("pairs", "@count"), ("second", "@left"), ("at most", "@top{0,0} ms")])
    )
    made.add_layout(ColorBar(color_mapper=mapper, width=8, padding=4, background_fill_alpha=0), "right")
    return Figure(made)


def bars(names: Sequence[str], values: Sequence[float], y_label: str, x_label: str, *, share: bool = False) -> Figure:
    """A bar for each name, in the order that is given; a share goes from none to all."""
    made = frame(y_label, x_label=x_label, x_range=list(names))
    made.y_range.start = 0
    if share:
        made.y_range.end = 1.0
        made.yaxis.formatter = NumeralTickFormatter(format=SHARE_TICKS)
    source = ColumnDataSource({"name": list(names), "value": list(values)})
    bar = made.vbar(x="name", top="value", width=0.7, source=source, fill_color=COLOURS[0], line_color=None)
    shown = "@value{0.0 %}" if share else "@value{0,0.[000]}"
    made.add_tools(HoverTool(renderers=[bar], tooltips=[("", "@name"), (y_label, shown)]))
    made.xgrid.grid_line_color = None
    made.xaxis.major_label_orientation = 0.6
    return Figure(made)


def intervals(names: Sequence[str], low: Sequence[float], high: Sequence[float], allowed: Sequence[float]) -> Figure:
    """An interval for each name as a part of what is allowed: right of 1 is worse."""
    made = frame("", x_label="difference, as a part of what is allowed", y_range=list(reversed(names)))
    parts = [[end / limit if limit else 0.0 for end, limit in zip(ends, allowed, strict=True)] for ends in (low, high)]
    made.hbar(y=list(names), left=parts[0], right=parts[1], height=0.3, fill_color=COLOURS[0], line_color=None)
    reach = max([1.2, *(abs(end) * 1.1 for side in parts for end in side)])
    made.x_range.start, made.x_range.end = -reach, reach
    for at, colour in ((0.0, WINDOW), (1.0, COLOURS[5])):
        made.vspan(x=[at], line_color=colour, line_width=2, line_dash="dashed" if at else "solid")
    return Figure(made)
