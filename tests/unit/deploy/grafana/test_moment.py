"""The dashboard of a moment, as its file has it."""

import json

from deploy.grafana.moment import MOMENT
from tests.dashboards import FILES


def test_the_first_row_asks_for_the_promises() -> None:
    """Whoever opens it after a moment sees first whether it was good."""
    (board,) = (json.loads(file.read_text(encoding="utf-8")) for file in FILES if file.stem == "snapsurge-moment")
    rows = [panel["title"] for panel in board["panels"] if panel["type"] == "row"]

    assert rows == ["Did the last moment keep its promises?", "Balancers", "Nodes", "Store", "Queue and workers"]
    assert rows == [row.title for row in MOMENT.rows]
