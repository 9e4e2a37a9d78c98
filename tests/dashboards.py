"""The dashboards of deploy/grafana as Grafana reads them: panels and queries of the JSON files."""

import json
from pathlib import Path
from typing import Any

FILES = sorted(Path("deploy/grafana").glob("*.json"))


def panels() -> list[dict[str, Any]]:
    """All panels of all dashboards, without the rows' titles."""
    boards = [json.loads(file.read_text(encoding="utf-8")) for file in FILES]
    return [panel for board in boards for panel in board["panels"] if panel["type"] != "row"]


def queries() -> dict[str, str]:
    """Every query as Prometheus gets it, by the panel's title and its letter."""
    return {
        f"{panel['title']} {target['refId']}": target["expr"].replace("$__rate_interval", "1m")
        for panel in panels()
        for target in panel["targets"]
    }
