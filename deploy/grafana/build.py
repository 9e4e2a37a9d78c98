"""`python -m deploy.grafana.build`: writes the dashboards' JSON beside this file, with grafana-foundation-sdk.

The SDK is pinned to a release for Grafana 11 and is needed here alone; a test compares the files with what it would
write. No Grafana is asked.
"""

from pathlib import Path
from typing import Any, Final

from grafana_foundation_sdk.builders import common, dashboard, prometheus, timeseries
from grafana_foundation_sdk.builders import stat as stats
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import BigValueGraphMode
from grafana_foundation_sdk.models.dashboard import DataSourceRef, Threshold, ThresholdsMode

from .moment import MOMENT
from .panels import Board, Panel
from .programs import PROGRAMS

FOLDER: Final = Path(__file__).parent
BOARDS: Final = (MOMENT, PROGRAMS)
# A dashboard has 24 columns. Ten values stand in two lines, two graphs beside each other.
SPANS: Final = {"stat": 4, "lines": 12}
HEIGHTS: Final = {"stat": 4, "lines": 8}
SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")


def built(board: Board) -> str:
    """The JSON of a dashboard."""
    made = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags(["snapsurge"])
        .refresh("5s")
        .time("now-15m", "now")
        .timezone("browser")
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )
    for row in board.rows:
        made = made.with_row(dashboard.Row(row.title))
        for panel in row.panels:
            made = made.with_panel(_panel(panel))
    return str(JSONEncoder(sort_keys=True, indent=2).encode(made.build())) + "\n"


def _panel(panel: Panel) -> Any:  # noqa: ANN401 - a builder of either kind
    made: Any = stats.Panel() if panel.kind == "stat" else timeseries.Panel()
    made = made.title(panel.title).description(panel.description).unit(panel.unit).datasource(SOURCE)
    made = made.span(SPANS[panel.kind]).height(HEIGHTS[panel.kind])
    if panel.kind == "stat":
        last = common.ReduceDataOptions().calcs(["lastNotNull"])
        made = made.graph_mode(BigValueGraphMode.NONE).reduce_options(last)
        if panel.bad is not None:
            made = made.thresholds(_thresholds(panel.bad, below=panel.bad_below))
    else:
        made = made.min(0)
    for number, query in enumerate(panel.queries):
        target = prometheus.Dataquery().expr(query.expr).ref_id(chr(ord("A") + number)).datasource(SOURCE)
        target = target.legend_format(query.legend) if query.legend else target
        made = made.with_target(target.instant() if panel.kind == "stat" else target.range())
    return made


def _thresholds(bad: float, *, below: bool) -> Any:  # noqa: ANN401 - the SDK is not installed everywhere
    first, then = ("red", "green") if below else ("green", "red")
    steps = [Threshold(color=first, value=None), Threshold(color=then, value=bad)]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def main() -> None:
    """Write each dashboard as JSON beside this module."""
    for board in BOARDS:
        (FOLDER / f"{board.uid}.json").write_text(built(board), encoding="utf-8")


if __name__ == "__main__":
    main()
