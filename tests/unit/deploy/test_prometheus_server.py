"""deploy.prometheus_server, deploy/prometheus: configuration, rules, alerts, their runbook, the objectives."""

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy import servers
from deploy.prometheus_server import AUTOSCALER, FOLDER, RULES, command, configuration
from tests.pages import exposed_names
from tests.promtool import parses, promtool

RUNBOOK = Path("deploy/README.md")
GROUPS: list[dict[str, Any]] = [
    group for file in sorted(FOLDER.glob(RULES)) for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
]
RULED = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULED if "alert" in rule}
TESTS = yaml.safe_load((FOLDER / "tests" / "alerts.yml").read_text(encoding="utf-8"))["tests"]
NAME = re.compile(r"\b(?:[a-z_]+:)?snapsurge[a-z0-9_]*(?::[a-z0-9_]+)*|\bup\b|\bprocess_[a-z_]+")


def test_the_configuration_is_valid() -> None:
    """As it stands, and with a stack's own addresses."""
    promtool("check", "config", FOLDER / "prometheus.yml")
    text = (FOLDER / "prometheus.yml").read_text(encoding="utf-8")
    assert text.count(AUTOSCALER) == 1
    assert text.count(RULES) == 1


def test_a_stack_gets_its_own_addresses(tmp_path: Path) -> None:
    """The autoscaler's, and the rules where they are."""
    file = tmp_path / "prometheus.yml"
    file.write_text(configuration("http://127.0.0.1:20007"), encoding="utf-8")
    promtool("check", "config", file)
    found = yaml.safe_load(file.read_text(encoding="utf-8"))

    (job,) = found["scrape_configs"]
    assert job["http_sd_configs"][0]["url"] == "http://127.0.0.1:20007/v1/targets"
    assert found["rule_files"] == [str(FOLDER / RULES)]


def test_prometheus_keeps_the_budget_and_forgets_who_is_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What README and prometheus.yml tell operators to start theirs with; rules are judged within the look back."""
    monkeypatch.setattr(servers, "prometheus_program", lambda: "prometheus")
    words = command(9090, tmp_path / "prometheus.yml", tmp_path)
    advice = (FOLDER / "prometheus.yml").read_text(encoding="utf-8") + RUNBOOK.read_text(encoding="utf-8")

    for wanted in ("--storage.tsdb.retention.time=100d", "--query.lookback-delta=30s"):
        assert wanted in words
        assert advice.count(wanted.partition("=")[0]) >= 2
    assert max(int(group["interval"].removesuffix("s")) for group in GROUPS) * 2 <= 30


def test_a_burst_is_scraped_often_enough() -> None:
    """Two minutes: at most five seconds between two scrapes."""
    found = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))

    assert int(found["global"]["scrape_interval"].removesuffix("s")) <= 5


def test_rules_name_only_what_there_is() -> None:
    """A misspelt name is no error to Prometheus: its alert would never fire."""
    known = exposed_names() | {rule["record"] for rule in RULED if "record" in rule} | {"up"}

    for rule in RULED:
        names = set(NAME.findall(rule["expr"].replace('job="snapsurge"', "")))
        assert names, rule
        assert names <= known, (rule, names - known)


@pytest.mark.timeout(600)
def test_each_alert_does_what_its_tests_say() -> None:
    """promtool plays them."""
    promtool("test", "rules", FOLDER / "tests" / "alerts.yml")


@pytest.mark.timeout(600)
def test_recorded_numbers_are_what_their_tests_say() -> None:
    """The budget, above all."""
    promtool("test", "rules", FOLDER / "tests" / "moment.yml")


def test_each_alert_has_a_test_that_it_fires_and_one_that_it_does_not() -> None:
    """Seen from both sides."""
    sides = defaultdict(set)
    for test in TESTS:
        (judged,) = test["promql_expr_test"]
        sides[test["name"].partition(":")[0]].add(bool(judged["exp_samples"]))
        assert f'alertname="{test["name"].partition(":")[0]}"' in judged["expr"]

    assert sides == {name: {True, False} for name in ALERTS}


def test_what_is_not_ready_is_called_as_by_deploy_check() -> None:
    """The runbook says so: the label `check` is the name of a line there."""
    table = RUNBOOK.read_text(encoding="utf-8").partition("\n| check | wanted |\n")[2].partition("\n\n")[0]
    lines = {name for row in table.splitlines() for name in re.findall(r"`([a-z-]+)`", row.split("|")[1])}
    checks = [rule["labels"]["check"] for rule in RULED if rule.get("record") == "check:snapsurge_not_ready:count"]

    assert len(checks) == len(set(checks)) > 10
    assert set(checks) <= lines, set(checks) - lines


def test_rules_are_judged_as_often_as_programs_are_scraped() -> None:
    """Also by an operator's Prometheus, whose own interval is 30 s."""
    assert {group["name"]: group["interval"] for group in GROUPS} == {
        "snapsurge-alerts": "5s",
        "snapsurge-budget": "15s",
        "snapsurge-moment": "5s",
        "snapsurge-readiness": "5s",
    }


def test_each_alert_leads_to_its_paragraph_and_each_paragraph_belongs_to_one() -> None:
    """The runbook is the second half of deploy/README.md; an anchor is the heading in lower case."""
    runbook = RUNBOOK.read_text(encoding="utf-8").partition("\n## Runbook\n")[2].partition("\n## ")[0]
    paragraphs = dict(re.findall(r"^### (\w+)\n\n(.+?)(?=\n### |\Z)", runbook, re.DOTALL | re.MULTILINE))

    assert list(paragraphs) == list(ALERTS)
    for name, alert in ALERTS.items():
        assert alert["annotations"]["runbook_url"] == f"{RUNBOOK}#{name.lower()}"
        assert re.search(r"\bLook:\s", paragraphs[name]), name
        assert re.search(r"\bDo:\s", paragraphs[name]), name
        assert {"summary", "description"} <= alert["annotations"].keys()
        assert alert["labels"]["severity"] in {"page", "ticket"}


def test_the_runbook_and_the_annotations_name_only_what_there_is() -> None:
    """A metric that an operator looks for at night exists."""
    known = exposed_names() | {rule["record"] for rule in RULED if "record" in rule}
    known |= {name.removesuffix("_count") for name in known}
    text = RUNBOOK.read_text(encoding="utf-8").partition("\n## Monitoring\n")[2]
    named = {name for name in NAME.findall(text) if name.startswith(("snapsurge_", "moment:"))}

    assert len(named) > 10
    assert named <= known, named - known


def test_the_objectives_are_openslo() -> None:
    """A service and objectives of pairs, each of whose queries parses and names what there is."""
    service, *objectives = yaml.safe_load_all((FOLDER / "slo.yml").read_text(encoding="utf-8"))
    known = exposed_names() | {rule["record"] for rule in RULED if "record" in rule}

    assert (service["apiVersion"], service["kind"]) == ("openslo/v1", "Service")
    assert [one["metadata"]["name"] for one in objectives] == ["acknowledged", "ready", "rightly-on-time", "none-lost"]
    for one in objectives:
        spec = one["spec"]
        assert (one["apiVersion"], one["kind"], spec["service"]) == ("openslo/v1", "SLO", service["metadata"]["name"])
        assert (spec["budgetingMethod"], spec["timeWindow"]) == (
            "Occurrences",
            [{"duration": "28d", "isRolling": True}],
        )
        assert all(0 <= objective["target"] < 1 for objective in spec["objectives"])
        ratio = spec["indicator"]["spec"]["ratioMetric"]
        assert ratio.keys() in ({"counter", "good", "total"}, {"counter", "bad", "total"})
        queries = [ratio[side]["metricSource"]["spec"]["query"] for side in ratio.keys() - {"counter"}]
        parses(*queries)
        assert {name for query in queries for name in NAME.findall(query)} <= known


def test_the_example_for_alertmanager_knows_the_alerts() -> None:
    """Its receivers exist, and what it silences is there."""
    found = yaml.safe_load((FOLDER / "alertmanager.example.yml").read_text(encoding="utf-8"))
    receivers = {one["name"] for one in found["receivers"]}
    named = set(re.findall(r"Snapsurge\w+", str(found["inhibit_rules"])))

    assert {found["route"]["receiver"], *(route["receiver"] for route in found["route"]["routes"])} == receivers
    assert named <= set(ALERTS)
