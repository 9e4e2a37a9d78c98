"""deploy/grafana: dashboards that a reviewer would take, of series that exist."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from deploy.prometheus_server import FOLDER, RULES
from tests.dashboards import FILES, panels, queries
from tests.pages import exposed_names, scraped
from tests.promtool import parses, promtool
from tests.unit.deploy.test_prometheus_server import NAME, RULED


def test_each_panel_says_what_it_shows() -> None:
    """Title, description and unit; a data source that can be chosen; no title twice."""
    for panel in panels():
        assert panel["title"]
        assert panel["description"].endswith((".", "`")), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert {panel["datasource"]["uid"], *(one["datasource"]["uid"] for one in panel["targets"])} == {
            "${datasource}"
        }
        assert panel["targets"]
        assert len(panel["targets"]) == 1 or all(one["legendFormat"] for one in panel["targets"]), panel["title"]
    twice = [title for title, count in Counter(panel["title"] for panel in panels()).items() if count > 1]
    assert not twice


def test_each_dashboard_has_what_grafana_needs() -> None:
    """Its own id, a name, and the variable of the data source; panels of a line do not overlap."""
    boards = [json.loads(file.read_text(encoding="utf-8")) for file in FILES]
    assert [board["uid"] for board in boards] == [file.stem for file in FILES]
    for board in boards:
        assert board["title"].endswith("(snapsurge)")
        assert [one["type"] for one in board["templating"]["list"]] == ["datasource"]
        places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
        assert len(set(places)) == len(places)
        assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in board["panels"])


def test_each_query_is_promql_of_series_that_exist() -> None:
    """promtool parses it; a misspelt name would be an empty panel."""
    known = exposed_names() | {rule["record"] for rule in RULED if "record" in rule} | {"up"}
    parses(*queries().values())

    for title, query in queries().items():
        names = set(NAME.findall(re.sub(r'"[^"]*"', "", query)))
        assert names <= known, (title, names - known)


@pytest.mark.timeout(600)
def test_each_query_has_data_of_what_the_programs_expose(tmp_path: Path) -> None:
    """Labels too: on the pages as they are, a moment that closed three minutes ago, and the recording rules."""
    asked = list(queries().values())
    names = {name for text in (*asked, *(rule["expr"] for rule in RULED)) for name in NAME.findall(text)}
    series = [{"series": one, "values": values} for one, values in scraped(names).items()]
    judged = [{"expr": f"count({query}) > bool 0", "eval_time": "6m", "exp_samples": [{"value": 1}]} for query in asked]
    test = {"interval": "5s", "input_series": series, "promql_expr_test": judged}
    rules = [str(file) for file in sorted(FOLDER.glob(RULES))]
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"rule_files": rules, "evaluation_interval": "15s", "tests": [test]}))  # JSON is YAML

    promtool("test", "rules", file)


def test_rates_take_grafanas_interval() -> None:
    """A fixed range is wrong for other intervals of scraping and other widths of a screen."""
    written = "".join(file.read_text(encoding="utf-8") for file in FILES)

    assert "$__rate_interval" in written
    assert not re.findall(r"\brate\([^)]*\[\d", written)


def test_the_files_are_what_the_code_builds() -> None:
    """Nobody edits them by hand: `python -m deploy.grafana.build`."""
    pytest.importorskip("grafana_foundation_sdk", reason="grafana-foundation-sdk is missing: uv pip install it")
    from deploy.grafana.build import BOARDS, built  # noqa: PLC0415 - it needs the SDK

    assert {file.stem: file.read_text(encoding="utf-8") for file in FILES} == {one.uid: built(one) for one in BOARDS}
