"""The scheduler places the pods of deploy/k8s as it says: points 3 and 4, priorities and spread."""

from collections import Counter
from typing import Any

import pytest

from tests.k8s.cluster import Cluster, until
from tests.k8s.conftest import CPUS, MACHINES, Applied, is_ready

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]


def placed(cluster: Cluster, tier: str) -> list[str]:
    """The machines of a tier's pods."""
    return [pod["spec"]["nodeName"] for pod in cluster.pods(tier) if pod["spec"].get("nodeName")]


def zones(cluster: Cluster, tier: str) -> Counter[str]:
    """How many of a tier's pods are in each zone."""
    names = placed(cluster, tier)
    return Counter(cluster.machine(one)["metadata"]["labels"]["topology.kubernetes.io/zone"] for one in names)


@pytest.mark.parametrize("tier", ["node", "balancer", "autoscaler"])
def test_no_machine_has_two_of_a_tier(applied: Applied, tier: str) -> None:
    """Point 4: two of three nodes stood on one machine."""
    machines = placed(applied.cluster, tier)

    assert len(machines) == len(set(machines)) > 1


def test_a_pod_is_told_its_zone(applied: Applied) -> None:
    """Point 4: the label of the machine is copied to the pod, which the setting of the zone reads."""
    for tier in ("node", "balancer"):
        for pod in applied.cluster.pods(tier):
            zone = applied.cluster.machine(pod["spec"]["nodeName"])["metadata"]["labels"]["topology.kubernetes.io/zone"]
            assert pod["metadata"]["labels"]["topology.kubernetes.io/zone"] == zone


def test_three_zones_have_as_many_each(applied: Applied) -> None:
    """Point 4: also when a tier grows."""
    cluster = applied.cluster
    applied.apply("three-zones")
    cluster.decide(node=9, lb=6)
    try:
        until(
            lambda: len(placed(cluster, "node")) == 9 and len(placed(cluster, "balancer")) == 6, "9 nodes, 6 balancers"
        )
        # Pods of the rollout that the overlay is go before they count.
        until(lambda: [*zones(cluster, "node").values()] == [3, 3, 3], "three nodes in each zone")
        until(lambda: [*zones(cluster, "balancer").values()] == [2, 2, 2], "two balancers in each zone")
    finally:
        cluster.decide(node=0, lb=0)
        applied.apply()


def test_a_node_that_has_lost_its_machine_displaces_workers(applied: Applied) -> None:
    """Point 3: the machines are full of workers; without a priority nobody gave way to the upload node."""
    cluster = applied.cluster
    cluster.decide(worker=400)
    until(lambda: len(waiting(cluster)) > CPUS, "more workers than there is room for")
    victim = next(pod for pod in cluster.pods("node") if pod["metadata"]["name"] == "node-0")
    machine = victim["spec"]["nodeName"]
    cluster.kubectl("cordon", machine)
    try:
        cluster.kubectl("-n", "snapsurge", "delete", "pod", "node-0", "--wait=false")
        until(lambda: any(again(pod, victim) and is_ready(pod) for pod in cluster.pods("node")), "node-0 elsewhere")
        events = cluster.get("/api/v1/namespaces/snapsurge/events?fieldSelector=reason%3DPreempted")["items"]
        assert {one["involvedObject"]["name"].split("-")[0] for one in events} == {"workers"}
    finally:
        cluster.kubectl("uncordon", machine)


def waiting(cluster: Cluster) -> list[dict[str, Any]]:
    """Workers for which no machine has room."""
    return [pod for pod in cluster.pods("worker") if not pod["spec"].get("nodeName")]


def again(pod: dict[str, Any], before: dict[str, Any]) -> bool:
    """Whether this is the successor of a pod."""
    same = pod["metadata"]["name"] == before["metadata"]["name"]
    return same and pod["metadata"]["uid"] != before["metadata"]["uid"]


def test_the_machines_were_filled(applied: Applied) -> None:
    """The check of the check: the room of all machines is less than what the test above asks for."""
    assert MACHINES * CPUS < 400
