"""What is applied is accepted, and what changes rolls, as slowly as it must: points 5, 6 and 9."""

from datetime import datetime
from typing import Any

import pytest
import yaml

from tests.k8s.cluster import Cluster, until
from tests.k8s.conftest import KINDS, SECRETS, Applied, is_whole

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]
# Of the Prometheus operator, whose own definitions are not here: any PodMonitor and PrometheusRule is accepted.
OPERATOR = "---".join(
    f"""
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: {kind.lower()}s.monitoring.coreos.com}}
spec:
  group: monitoring.coreos.com
  names: {{kind: {kind}, plural: {kind.lower()}s, singular: {kind.lower()}, listKind: {kind}List}}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}
"""
    for kind in ("PodMonitor", "PrometheusRule")
)


def templates(cluster: Cluster) -> dict[str, Any]:
    """The pods that each workload makes."""
    return {
        name: cluster.get(f"/apis/apps/v1/namespaces/snapsurge/{kind}/{name}")["spec"]["template"]
        for name, kind in KINDS.items()
    }


@pytest.mark.parametrize("overlay", ["one-zone", "three-zones", "cloud"])
def test_an_overlay_is_accepted_as_it_is(applied: Applied, overlay: str) -> None:
    """Point 9: no unknown field, no warning, nothing that Pod Security forbids."""
    applied.cluster.kubectl("apply", "-f", "-", given=OPERATOR)
    until(lambda: applied.cluster.get("/apis/monitoring.coreos.com/v1"), "the API of PodMonitors")
    said = applied.apply(overlay, "--dry-run=server", "--validate=strict")

    assert "Warning" not in said
    assert "scaledobject.keda.sh/nodes" in said


def test_another_namespace_is_one_line(applied: Applied) -> None:
    """Point 9: all objects and KEDA's addresses follow ../site."""
    site = applied.manifests / "site/kustomization.yaml"
    text = site.read_text()
    site.write_text(text.replace("namespace: snapsurge\n", "namespace: elsewhere\n"))
    try:
        rendered = applied.cluster.kubectl("kustomize", str(applied.manifests / "overlays/one-zone"))
    finally:
        site.write_text(text)
    objects = [found for found in yaml.safe_load_all(rendered) if found]
    cluster_wide = {"Namespace", "PriorityClass"}
    urls = [one["spec"]["triggers"][0]["metadata"]["url"] for one in objects if one["kind"] == "ScaledObject"]

    assert {one["metadata"]["namespace"] for one in objects if one["kind"] not in cluster_wide} == {"elsewhere"}
    assert [one["metadata"]["name"] for one in objects if one["kind"] == "Namespace"] == ["elsewhere"]
    assert sorted(urls) == [
        f"http://autoscaler.elsewhere.svc:9100/v1/scaling{query}" for query in ("", "?tier=lb", "?tier=node")
    ]


@pytest.mark.parametrize(
    ("file", "line", "rolls"),
    [
        ("site/settings.env", "SNAPSURGE_STORAGE_REDIS_TIMEOUT_S=0.4\n", set(KINDS)),
        ("site/secrets.env", f"{SECRETS}auth-secret-previous=an-older-secret-for-tests-of-32-ch\n", set(KINDS)),
        ("base/ladder.json", '{"ladder": [{"at_s": -60, "tier": "node", "count": 9}]}', {"autoscaler"}),
    ],
)
def test_a_change_is_a_rollout(applied: Applied, file: str, line: str, rolls: set[str]) -> None:
    """Point 6: settings and secrets that changed were in no pod until somebody restarted it."""
    before = templates(applied.cluster)
    (applied.manifests / file).write_text(line)
    applied.apply()

    after = templates(applied.cluster)
    assert {name for name in KINDS if before[name] != after[name]} == rolls


def test_no_balancer_goes_before_a_new_one_is_admitted(applied: Applied) -> None:
    """Point 5: each that goes was told to when another one had been ready for as long as a cloud takes to admit it."""
    cluster = applied.cluster
    old = {pod["metadata"]["name"] for pod in cluster.pods("balancer")}
    (applied.manifests / "site/settings.env").write_text("SNAPSURGE_STORE_URL=s3://other?endpoint=http://minio:9000\n")
    applied.apply()
    until(lambda: not old & {pod["metadata"]["name"] for pod in cluster.pods("balancer")}, "both balancers replaced")
    until(lambda: is_whole(cluster), "the end of the rollout")

    ready = sorted(
        datetime.fromisoformat(one["lastTransitionTime"])
        for pod in cluster.pods("balancer")
        for one in pod["status"]["conditions"]
        if one["type"] == "Ready"
    )

    def told() -> list[datetime]:
        """When each old pod was told to go, once all are known: events are written a little later."""
        events = cluster.get("/api/v1/namespaces/snapsurge/events?fieldSelector=reason%3DSuccessfulDelete")["items"]
        mine = [one for one in events if one["message"].removeprefix("Deleted pod: ") in old]
        return sorted(datetime.fromisoformat(one["lastTimestamp"]) for one in mine) if len(mine) >= len(old) else []

    gone = until(told, "an event of each pod that was told to go")
    print("ready:", ready, "told to go:", gone)
    assert len(ready) == len(gone) == 2
    for one_ready, one_gone in zip(ready, gone, strict=True):
        assert (one_gone - one_ready).total_seconds() >= 30 - 1  # times of the API are whole seconds


def test_budgets_watch_every_tier(applied: Applied) -> None:
    """Point 6: the disruption controller counts the pods of each, and lets at most so many go."""

    def counted() -> dict[str, Any]:
        items = applied.cluster.get("/apis/policy/v1/namespaces/snapsurge/poddisruptionbudgets")["items"]
        found = {one["metadata"]["name"]: one["status"]["disruptionsAllowed"] for one in items}
        return found if all(found.values()) else {}

    assert until(counted, "budgets") == {"autoscaler": 1, "balancers": 1, "nodes": 1, "workers": 1}
