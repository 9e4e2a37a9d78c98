"""deploy/k8s: each object as the published schemas of Kubernetes and KEDA have it, and true to the programs it runs.

The models are generated from those schemas. They ignore what they do not know, so each object must come out of its
model as it went in: a misspelt field does not. What only a cluster can tell is left to it.
"""

import re
import subprocess
import sys
from typing import Any

import pytest
from cloudcoil.models.keda import v1alpha1 as keda
from cloudcoil.models.kubernetes.apps import v1 as apps
from cloudcoil.models.kubernetes.core import v1 as core
from cloudcoil.models.kubernetes.networking import v1 as networking
from cloudcoil.models.kubernetes.policy import v1 as policy
from cloudcoil.models.kubernetes.scheduling import v1 as scheduling

from processors.memory import ARCHIVES, MIB, PROCESS_BYTES
from storage.photo.formats import BYTES_MAX, DECODE_BYTES_MAX
from tests.unit.deploy.manifests import (
    ALL_PODS,
    FOLDER,
    KUSTOMIZATIONS,
    OBJECTS,
    PODS,
    ROOT,
    SITE,
    container,
    pod,
    settings,
    settings_of,
)

MODELS: dict[str, Any] = {
    "Deployment": apps.Deployment,
    "Namespace": core.Namespace,
    "NetworkPolicy": networking.NetworkPolicy,
    "PodDisruptionBudget": policy.PodDisruptionBudget,
    "PriorityClass": scheduling.PriorityClass,
    "ScaledObject": keda.ScaledObject,
    "Service": core.Service,
    "ServiceAccount": core.ServiceAccount,
    "StatefulSet": apps.StatefulSet,
}


PRIORITIES = ("snapsurge-front", "snapsurge-workers", "snapsurge-placeholder")
# Fields younger than the models; tests/k8s has them checked by a real API server.
YOUNG = {"tolerance"}


def comes_out(model: Any, found: Any) -> Any:
    """What the model makes of it, written as it came in."""
    return model.model_validate(found).model_dump(by_alias=True, exclude_unset=True, mode="json")


def without_young(found: Any) -> Any:
    """The same object as the models know it."""
    if isinstance(found, dict):
        return {key: without_young(value) for key, value in found.items() if key not in YOUNG}
    return [without_young(one) for one in found] if isinstance(found, list) else found


@pytest.mark.parametrize(
    "name", sorted(name for name in OBJECTS if not name.startswith(("PodMonitor/", "PrometheusRule/")))
)
def test_every_object_is_of_its_schema(name: str) -> None:
    """Required fields are there, types are right, and nothing is misspelt."""
    found = without_young(OBJECTS[name])
    model = MODELS[found["kind"]]

    assert comes_out(model, found) == found
    assert found["apiVersion"] == model.model_fields["api_version"].default


def test_a_misspelt_field_would_be_found() -> None:
    """The check of the check."""
    found = without_young(OBJECTS["ScaledObject/workers"])
    found["spec"]["pollingIntervall"] = 5

    assert comes_out(keda.ScaledObject, found) != found


def test_every_file_is_listed() -> None:
    """What is not in its kustomization.yaml is not applied, and each folder that one names exists."""
    for folder, found in KUSTOMIZATIONS.items():
        named = [*found.get("resources", []), *found.get("components", [])]
        files = {path.name for path in (FOLDER / folder).glob("*.yaml")} - {"kustomization.yaml"}
        assert {one for one in named if "/" not in one} == files
        assert all((FOLDER / folder / one / "kustomization.yaml").exists() for one in named if "/" in one)


def test_the_namespace_has_one_place() -> None:
    """Only ../site says it; KEDA's addresses get it by a replacement, from the Service that they lead to."""
    assert [folder for folder, found in KUSTOMIZATIONS.items() if "namespace" in found] == ["site"]
    assert not [name for name, found in OBJECTS.items() if "namespace" in found["metadata"]]
    (replacement,) = SITE["replacements"]
    assert replacement["source"] == {"kind": "Service", "name": "autoscaler", "fieldPath": "metadata.namespace"}
    assert OBJECTS["Namespace/snapsurge"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("name", PODS)
def test_commands_and_settings_exist(name: str) -> None:
    """A program of ours, settings that it knows, none from names of services."""
    python, module, package, *_ = container(name)["args"]
    assert (python, module) == ("python", "-m")
    shared = {"SNAPSURGE_AUTH_SECRET", "SNAPSURGE_AUTH_SECRET_PREVIOUS", "SNAPSURGE_STORE_URL"}
    given = {key for key in settings(name) if key.startswith("SNAPSURGE_")}
    assert given <= settings_of(package, *(() if package == "lb" else ("storage",))) | shared
    assert not [key for key, value in settings(name).items() if re.search("SECRET|SEED|KEY", key) and value]
    assert pod(name)["enableServiceLinks"] is False


def test_a_worker_may_have_what_it_allows_itself() -> None:
    """Else a large photo would have it killed, and taken for poison, where it would have said MemoryError."""
    limit = container("Deployment/workers")["resources"]["limits"]["memory"]

    assert int(limit.removesuffix("Mi")) * MIB > DECODE_BYTES_MAX + PROCESS_BYTES + ARCHIVES * BYTES_MAX + PROCESS_BYTES


def test_a_node_is_given_the_memory_that_it_fills() -> None:
    """Its budget of uploads follows the limit, so the scheduler has to know of all of it."""
    resources = container("StatefulSet/node")["resources"]

    assert resources["requests"]["memory"] == resources["limits"]["memory"]


@pytest.mark.parametrize("name", PODS)
def test_probes_and_services_meet_a_port_that_is_opened(name: str) -> None:
    """By the port's name, at the port that the program is told to open."""
    found = container(name)
    opened = {one["name"]: one["containerPort"] for one in found["ports"]}
    told = " ".join([*found["args"], *(str(value) for value in settings(name).values())])
    for port in opened.values():
        assert re.search(rf"(0\.0\.0\.0|\$\(POD_IP\)):{port}\b", told)
    for probe in ("readinessProbe", "livenessProbe"):
        assert found.get(probe, {}).get("httpGet", {}).get("port", next(iter(opened))) in opened


@pytest.mark.parametrize("name", [name for name in OBJECTS if name.startswith(("Service/", "PodDisruptionBudget/"))])
def test_selectors_select_pods(name: str) -> None:
    """Labels of exactly one workload, and the port that its container names."""
    spec = OBJECTS[name]["spec"]
    wanted = spec["selector"].get("matchLabels", spec["selector"])
    (selected,) = [one for one in PODS if OBJECTS[one]["spec"]["template"]["metadata"]["labels"] == wanted]

    assert {one["targetPort"] for one in spec.get("ports", [])} <= {one["name"] for one in container(selected)["ports"]}


def policies(selects: str) -> dict[str, dict[str, Any]]:
    """The network policies of the pods with these labels, by name, but not the one that is for all."""
    labels = OBJECTS[selects]["spec"]["template"]["metadata"]["labels"]
    return {
        name.removeprefix("NetworkPolicy/"): found["spec"]
        for name, found in OBJECTS.items()
        if found["kind"] == "NetworkPolicy" and selected(found["spec"]["podSelector"], labels)
    }


def selected(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a selector that says something selects these labels."""
    terms = [labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()]
    terms += [labels.get(one["key"]) in one["values"] for one in selector.get("matchExpressions", [])]
    return bool(terms) and all(terms)


def test_what_no_policy_names_is_denied() -> None:
    """In and out, for all pods of the namespace."""
    assert OBJECTS["NetworkPolicy/default-deny"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_the_admin_port_and_the_nodes_are_for_nobody_outside() -> None:
    """Anybody reaches the balancers' one port for phones; nodes are reached by balancers alone, but for Prometheus."""
    balancers, nodes = policies("Deployment/balancers"), policies("StatefulSet/node")
    open_to = {
        tier: {name: found["ingress"] for name, found in those.items() if "ingress" in found and name != "prometheus"}
        for tier, those in (("balancers", balancers), ("nodes", nodes))
    }
    labels = OBJECTS["Deployment/balancers"]["spec"]["template"]["metadata"]["labels"]

    assert open_to == {
        "balancers": {"balancers": [{"ports": [{"port": "http", "protocol": "TCP"}]}]},
        "nodes": {
            "nodes": [
                {"from": [{"podSelector": {"matchLabels": labels}}], "ports": [{"port": "http", "protocol": "TCP"}]}
            ]
        },
    }


@pytest.mark.parametrize(
    ("name", "ports"),
    [
        ("Deployment/balancers", {53, 6379, 26379, 9001}),
        ("StatefulSet/node", {53, 6379, 26379, 9000, 443}),
        ("Deployment/workers", {53, 6379, 26379, 9000, 443}),
        ("Deployment/autoscaler", {53, 6379, 26379, 9000, 443}),
    ],
)
def test_each_tier_reaches_what_it_needs(name: str, ports: set[int]) -> None:
    """Balancers, which anybody speaks to, do not reach the store."""
    rules = [rule for found in policies(name).values() for rule in found.get("egress", [])]

    assert {port["port"] for rule in rules for port in rule["ports"]} == ports


def test_prometheus_reaches_what_it_scrapes() -> None:
    """Its access has the ports of the endpoints, and each of our pods has one of them."""
    (rule,) = OBJECTS["NetworkPolicy/prometheus"]["spec"]["ingress"]
    endpoints = {one["port"] for one in OBJECTS["PodMonitor/snapsurge"]["spec"]["podMetricsEndpoints"]}
    scraped = {
        name: {
            one["containerPort"]
            for one in container(name)["ports"]
            if one["name"] in endpoints and (name, one["name"]) != ("Deployment/balancers", "http")
        }
        for name in PODS
    }

    assert all(scraped.values())
    assert {port["port"] for port in rule["ports"]} == set().union(*scraped.values())


def test_who_gives_way_to_whom() -> None:
    """Uploads before renders before placeholders; every pod has a class that exists."""
    value = {name: OBJECTS[f"PriorityClass/{name}"]["value"] for name in PRIORITIES}
    of = {name: pod(name)["priorityClassName"] for name in ALL_PODS}

    assert set(of.values()) == set(value)
    front = {value[of[name]] for name in ("Deployment/balancers", "StatefulSet/node", "Deployment/autoscaler")}
    assert min(front) > value[of["Deployment/workers"]] > value[of["Deployment/placeholders"]]
    assert OBJECTS["PriorityClass/snapsurge-placeholder"]["preemptionPolicy"] == "Never"


@pytest.mark.parametrize("name", ["Deployment/balancers", "StatefulSet/node", "Deployment/autoscaler"])
def test_a_machine_or_a_zone_takes_not_all_of_a_tier(name: str) -> None:
    """Spread over machines, and where phones are served over zones; a pod's own labels are those that are counted."""
    labels = OBJECTS[name]["spec"]["template"]["metadata"]["labels"]
    spread = pod(name)["topologySpreadConstraints"]

    assert {one["labelSelector"]["matchLabels"]["tier"] for one in spread} == {labels["tier"]}
    keys = {one["topologyKey"] for one in spread}
    assert "kubernetes.io/hostname" in keys
    assert "topology.kubernetes.io/zone" in keys or name == "Deployment/autoscaler"


@pytest.mark.parametrize("name", PODS)
def test_every_tier_has_a_budget_for_disruptions(name: str) -> None:
    """So that who drains machines does not take it away at once."""
    labels = OBJECTS[name]["spec"]["template"]["metadata"]["labels"]
    budgets = [found["spec"] for found in OBJECTS.values() if found["kind"] == "PodDisruptionBudget"]

    assert [one["maxUnavailable"] for one in budgets if one["selector"]["matchLabels"] == labels] in ([1], ["25%"])


def test_a_rollout_waits_until_a_pod_is_sent_requests() -> None:
    """A balancer until a cloud admits it, a node until balancers know it; no balancer goes before another has come."""
    balancers, node = OBJECTS["Deployment/balancers"]["spec"], OBJECTS["StatefulSet/node"]["spec"]

    assert balancers["minReadySeconds"] >= 30
    assert balancers["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert node["minReadySeconds"] >= 15


def test_the_operator_gets_the_rules_of_prometheus() -> None:
    """The same groups, generated from the same files."""
    text = (FOLDER / "monitoring" / "rules.yaml").read_text(encoding="utf-8")
    made = subprocess.run([sys.executable, ROOT / ".ci" / "rules.py"], capture_output=True, text=True, check=True)
    groups = [group["name"] for group in OBJECTS["PrometheusRule/snapsurge"]["spec"]["groups"]]

    assert text == made.stdout, "run: python .ci/rules.py > deploy/k8s/monitoring/rules.yaml"
    assert groups == ["snapsurge-alerts", "snapsurge-moment", "snapsurge-budget", "snapsurge-readiness"]


def test_the_operator_names_job_and_node_as_the_rules_do() -> None:
    """Rules know the job `snapsurge`; a series' own `tier` stays; a node's series have its id."""
    spec = OBJECTS["PodMonitor/snapsurge"]["spec"]

    assert spec["selector"]["matchLabels"][spec["jobLabel"]] == "snapsurge"
    assert all(one["honorLabels"] and one["interval"] == "5s" for one in spec["podMetricsEndpoints"])
    assert [one.get("targetLabel") for one in spec["podMetricsEndpoints"][1]["relabelings"]] == [None, "node"]
