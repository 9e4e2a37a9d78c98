"""The form in which dashboards are described: rows of panels, each with title, description, unit and queries."""

from typing import Literal

import msgspec


class Query(msgspec.Struct, frozen=True):
    """A query in PromQL, and the name of its series in the legend (`{{label}}` is replaced)."""

    expr: str
    legend: str = ""


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """`stat` shows the value now, red from `bad` on (below it where `bad_below`); `lines` shows values over time.

    `unit` is Grafana's name of a unit.
    """

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    kind: Literal["stat", "lines"] = "lines"
    bad: float | None = None
    bad_below: bool = False


class Row(msgspec.Struct, frozen=True):
    """A title and the panels under it."""

    title: str
    panels: tuple[Panel, ...]


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """A dashboard; `uid` is also the name of its file."""

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]


def lines(title: str, description: str, unit: str, *queries: tuple[str, str]) -> Panel:
    """A panel of values over time."""
    return Panel(title=title, description=description, unit=unit, queries=tuple(Query(*one) for one in queries))


def stat(
    title: str, description: str, unit: str, expr: str, *, bad: float | None = None, bad_below: bool = False
) -> Panel:
    """A panel of one value."""
    return Panel(
        title=title,
        description=description,
        unit=unit,
        queries=(Query(expr),),
        kind="stat",
        bad=bad,
        bad_below=bad_below,
    )


def quantiles(histogram: str, matchers: str = "", by: str = "") -> tuple[tuple[str, str], ...]:
    """The median and the 99th percentile of a histogram, over all instances."""
    labels = f"le, {by}" if by else "le"
    legend = f"{{{{{by}}}}} " if by else ""
    rate = f"sum by ({labels}) (rate({histogram}_bucket{{{matchers}}}[$__rate_interval]))".replace("{}", "")
    return tuple((f"histogram_quantile({part}, {rate})", f"{legend}p{part * 100:.0f}") for part in (0.5, 0.99))


def per_second(counter: str, by: str, matchers: str = "") -> tuple[str, str]:
    """The rate of a counter by a label."""
    series = f"{counter}{{{matchers}}}" if matchers else counter
    return f"sum by ({by}) (rate({series}[$__rate_interval]))", f"{{{{{by}}}}}"
