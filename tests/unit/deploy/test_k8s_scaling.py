"""deploy/k8s, who scales: KEDA asks for what is answered, within the same bounds, and steps down as it should."""

import pytest
from cloudcoil.models.kubernetes.autoscaling import v2 as autoscaling

from processors.scaling.autoscale import TERM_S_MIN
from processors.scaling.ladder import parsed
from storage import decision
from storage.decision import Scaling
from tests.unit.deploy.manifests import FOLDER, KUSTOMIZATIONS, OBJECTS, SITE, container, pod, settings
from tests.unit.deploy.test_k8s import comes_out, without_young

TIERS = {"workers": ("Deployment/workers", ""), "nodes": ("StatefulSet/node", "?tier=node"),
         "balancers": ("Deployment/balancers", "?tier=lb")}  # fmt: skip


@pytest.mark.parametrize("name", TIERS)
def test_keda_asks_for_what_is_answered(name: str) -> None:
    """The autoscaler's address, a field of its answer, one pod a unit, and nothing that breaks a hold."""
    target, query = TIERS[name]
    spec = OBJECTS[f"ScaledObject/{name}"]["spec"]
    (trigger,) = spec["triggers"]
    (port,) = OBJECTS["Service/autoscaler"]["spec"]["ports"]
    metadata = trigger["metadata"]

    # KEDA asks from its own namespace, where a name without one means another service.
    assert metadata["url"] == f"http://autoscaler.{SITE['namespace']}.svc:{port['port']}/v1/scaling{query}"
    assert query.removeprefix("?tier=") in {"", *decision.TIERS}
    assert metadata["valueLocation"] in Scaling.__struct_fields__
    assert (trigger["type"], trigger["metricType"], metadata["targetValue"]) == ("metrics-api", "AverageValue", "1")
    assert "fallback" not in spec
    assert f"{spec['scaleTargetRef'].get('kind', 'Deployment')}/{spec['scaleTargetRef']['name']}" == target
    assert "replicas" not in OBJECTS[target]["spec"]
    assert 0 < spec["minReplicaCount"] <= spec["maxReplicaCount"]  # to none is KEDA's own rule
    assert spec["pollingInterval"] <= TERM_S_MIN


def test_keda_and_the_decision_have_the_same_bounds() -> None:
    """Neither cuts off what the other one wants."""
    spec, given = OBJECTS["ScaledObject/workers"]["spec"], settings("Deployment/autoscaler")
    bounds = [int(given[f"SNAPSURGE_PROCESSORS_WORKERS_{name}"]) for name in ("MIN", "WARM", "MAX")]

    assert [spec["minReplicaCount"], spec["maxReplicaCount"]] == [bounds[0], bounds[2]]
    assert bounds[0] <= bounds[1] <= bounds[2]
    assert container("Deployment/autoscaler")["args"][-1] == "--decide-only"


def test_the_ladder_is_one_that_the_autoscaler_reads() -> None:
    """From the file that base makes a ConfigMap of, at the path that the setting names."""
    (made,) = [one for one in KUSTOMIZATIONS["base"]["configMapGenerator"] if one["name"] == "ladder"]
    (mounted,) = container("Deployment/autoscaler")["volumeMounts"]
    (volume,) = pod("Deployment/autoscaler")["volumes"]

    assert parsed((FOLDER / "base" / made["files"][0]).read_bytes()) == []
    assert volume == {"name": mounted["name"], "configMap": {"name": "ladder"}}
    told = settings("Deployment/autoscaler")["SNAPSURGE_PROCESSORS_LADDER_FILE"]
    assert told == f"{mounted['mountPath']}/{made['files'][0]}"


def down_minutes(name: str, most: int, least: int) -> int:
    """How many minutes an HPA takes from the most to the least by its policies."""
    policies = OBJECTS[f"ScaledObject/{name}"]["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    minutes = 0
    while most > least:
        steps = [
            most * one["value"] // 100 if one["type"] == "Percent" else one["value"]
            for one in policies["scaleDown"]["policies"]
        ]
        most, minutes = most - max(steps), minutes + 1
    return minutes


@pytest.mark.parametrize("name", TIERS)
def test_up_at_once_and_down_in_steps(name: str) -> None:
    """The HPA's own part, by its schema: any number up and no difference too small; down in guarded steps."""
    spec = OBJECTS[f"ScaledObject/{name}"]["spec"]
    behaviour, most = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"], spec["maxReplicaCount"]
    known = without_young(behaviour)

    assert comes_out(autoscaling.HorizontalPodAutoscalerBehavior, known) == known
    assert [behaviour[way]["tolerance"] for way in ("scaleUp", "scaleDown")] == ["0", "0"]
    assert behaviour["scaleUp"]["policies"] == [{"type": "Pods", "value": most, "periodSeconds": 15}]
    assert behaviour["scaleUp"]["stabilizationWindowSeconds"] == 0
    # Else what was added within the period may be taken away beside the percentage, in one step.
    periods = {one["periodSeconds"] for one in behaviour["scaleDown"]["policies"]}
    assert behaviour["scaleDown"]["stabilizationWindowSeconds"] >= max(periods)
    assert max(one["value"] for one in behaviour["scaleDown"]["policies"]) < 50


def test_workers_are_gone_about_ten_minutes_after_a_burst() -> None:
    """From the most to the least, beside the five minutes of the decision."""
    assert down_minutes("workers", 400, 2) <= 8
