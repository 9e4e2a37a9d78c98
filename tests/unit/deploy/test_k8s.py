"""deploy/k8s: each object as the published schemas of Kubernetes and KEDA have it, and true to the programs it runs.

The models are generated from those schemas. They ignore what they do not know, so each object must come out of its
model as it went in: a misspelt field does not. What only a cluster can tell is left to it.
"""

import re
from typing import Any

import msgspec
import pytest
from cloudcoil.models.keda import v1alpha1 as keda
from cloudcoil.models.kubernetes.apps import v1 as apps
from cloudcoil.models.kubernetes.autoscaling import v2 as autoscaling
from cloudcoil.models.kubernetes.core import v1 as core
from cloudcoil.models.kubernetes.networking import v1 as networking
from cloudcoil.models.kubernetes.policy import v1 as policy

from processors.memory import ARCHIVES, MIB, PROCESS_BYTES
from processors.scaling.autoscale import TERM_S_MIN
from storage.decision import Scaling
from storage.photo.formats import BYTES_MAX, DECODE_BYTES_MAX
from tests.unit.deploy.manifests import FOLDER, KUSTOMIZATION, OBJECTS, PODS, container, pod, settings, settings_of

MODELS: dict[str, Any] = {
    "ConfigMap": core.ConfigMap,
    "Deployment": apps.Deployment,
    "NetworkPolicy": networking.NetworkPolicy,
    "PodDisruptionBudget": policy.PodDisruptionBudget,
    "ScaledObject": keda.ScaledObject,
    "Service": core.Service,
    "StatefulSet": apps.StatefulSet,
}


def comes_out(model: Any, found: Any) -> Any:
    """What the model makes of it, written as it came in."""
    return model.model_validate(found).model_dump(by_alias=True, exclude_unset=True, mode="json")


@pytest.mark.parametrize("name", sorted(OBJECTS))
def test_every_object_is_of_its_schema(name: str) -> None:
    """Required fields are there, types are right, and nothing is misspelt."""
    found = OBJECTS[name]
    model = MODELS[found["kind"]]

    assert comes_out(model, found) == found
    assert found["apiVersion"] == model.model_fields["api_version"].default


def test_a_misspelt_field_would_be_found() -> None:
    """The check of the check."""
    found = msgspec.json.decode(msgspec.json.encode(OBJECTS["ScaledObject/workers"]))
    found["spec"]["pollingIntervall"] = 5

    assert comes_out(keda.ScaledObject, found) != found


def test_every_file_is_listed() -> None:
    """What is not in kustomization.yaml is not applied."""
    files = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}

    assert set(KUSTOMIZATION["resources"]) == files


@pytest.mark.parametrize("name", PODS)
def test_commands_and_settings_exist(name: str) -> None:
    """A program of ours, settings that it knows, none from names of services."""
    python, module, package, *_ = container(name)["args"]
    assert (python, module) == ("python", "-m")
    shared = {"SNAPSURGE_AUTH_SECRET", "SNAPSURGE_STORE_URL"}
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


def test_the_admin_port_and_the_nodes_are_for_nobody_outside() -> None:
    """Anybody reaches the balancers' one port for phones; nodes are reached by balancers alone."""
    (phones,) = OBJECTS["NetworkPolicy/balancers"]["spec"]["ingress"]
    (inside,) = OBJECTS["NetworkPolicy/nodes"]["spec"]["ingress"]
    labels = {
        name: OBJECTS[name]["spec"]["template"]["metadata"]["labels"]
        for name in ("Deployment/balancers", "StatefulSet/node")
    }

    assert phones == {"ports": [{"port": "http", "protocol": "TCP"}]}
    assert inside["from"] == [{"podSelector": {"matchLabels": labels["Deployment/balancers"]}}]
    for policy_name, pods in (("balancers", "Deployment/balancers"), ("nodes", "StatefulSet/node")):
        spec = OBJECTS[f"NetworkPolicy/{policy_name}"]["spec"]
        assert (spec["podSelector"]["matchLabels"], spec["policyTypes"]) == (labels[pods], ["Ingress"])


def test_keda_asks_for_what_is_answered() -> None:
    """The autoscaler's address, a field of its answer, one worker a unit, and nothing that breaks a hold."""
    spec = OBJECTS["ScaledObject/workers"]["spec"]
    (trigger,) = spec["triggers"]
    (port,) = OBJECTS["Service/autoscaler"]["spec"]["ports"]
    metadata = trigger["metadata"]

    # KEDA asks from its own namespace, where a name without one means another service.
    assert metadata["url"] == f"http://autoscaler.{KUSTOMIZATION['namespace']}.svc:{port['port']}/v1/scaling"
    assert metadata["valueLocation"] in Scaling.__struct_fields__
    assert (trigger["type"], trigger["metricType"], metadata["targetValue"]) == ("metrics-api", "AverageValue", "1")
    assert "fallback" not in spec
    assert f"Deployment/{spec['scaleTargetRef']['name']}" in PODS
    assert "replicas" not in OBJECTS["Deployment/workers"]["spec"]
    assert spec["pollingInterval"] <= TERM_S_MIN


def test_keda_and_the_decision_have_the_same_bounds() -> None:
    """Neither cuts off what the other one wants; never to none, which would be KEDA's own rule."""
    spec, given = OBJECTS["ScaledObject/workers"]["spec"], settings("Deployment/autoscaler")
    bounds = [int(given[f"SNAPSURGE_PROCESSORS_WORKERS_{name}"]) for name in ("MIN", "WARM", "MAX")]

    assert [spec["minReplicaCount"], spec["maxReplicaCount"]] == [bounds[0], bounds[2]]
    assert 0 < bounds[0] <= bounds[1] <= bounds[2]
    assert container("Deployment/autoscaler")["args"][-1] == "--decide-only"


def test_up_at_once_and_down_slowly() -> None:
    """The HPA's own part, by its schema: no waiting either way, any number up, a tenth a minute down."""
    behaviour = OBJECTS["ScaledObject/workers"]["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    most = OBJECTS["ScaledObject/workers"]["spec"]["maxReplicaCount"]

    assert comes_out(autoscaling.HorizontalPodAutoscalerBehavior, behaviour) == behaviour
    assert behaviour["scaleUp"]["policies"] == [{"type": "Pods", "value": most, "periodSeconds": 15}]
    assert {"type": "Percent", "value": 10, "periodSeconds": 60} in behaviour["scaleDown"]["policies"]
