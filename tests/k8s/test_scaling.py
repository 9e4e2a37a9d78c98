"""KEDA and the HPA on a real API server do with `desired` what deploy/k8s says: points 1, 2 and 8 of scaling.

Durations are those of the cluster (an HPA looks every 15 s). Asserted are the numbers in their order.
"""

import time
from itertools import pairwise

import pytest

from tests.k8s.cluster import Cluster, until
from tests.k8s.conftest import Applied

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]
TARGETS = {"worker": ("deployments", "workers"), "node": ("statefulsets", "node"), "lb": ("deployments", "balancers")}


def scaled(cluster: Cluster, count: int, tier: str = "worker") -> None:
    """Until the tier has this number of pods to have."""
    until(lambda: cluster.replicas(*TARGETS[tier]) == count, f"{count} of {tier}")


def course(cluster: Cluster, tier: str, changes: int) -> list[int]:
    """The numbers of a tier from now on, until they have changed so often."""
    seen = [cluster.replicas(*TARGETS[tier])]

    def changed() -> bool:
        if (found := cluster.replicas(*TARGETS[tier])) != seen[-1]:
            seen.append(found)
        return len(seen) > changes

    until(changed, f"{changes} changes of {tier}, had {seen}")
    return seen


def test_what_was_just_added_is_not_taken_away_in_one_step(applied: Applied) -> None:
    """Point 1: 300 in a moment, and 2 at once after it: down by a third at a time, where it was one step to 99."""
    applied.cluster.decide(worker=300)
    scaled(applied.cluster, 300)
    applied.cluster.decide(worker=2)

    seen = course(applied.cluster, "worker", 2)

    print("workers:", seen)
    for before, after in pairwise(seen):
        assert before > after >= min(before * 0.67 - 1, before - 20)


def test_a_tenth_more_is_not_too_little(applied: Applied) -> None:
    """Point 2: an HPA's tolerance let 110 desired with 100 running change nothing; the same down."""
    for count in (100, 110, 105):
        applied.cluster.decide(worker=count)
        scaled(applied.cluster, count)


def test_without_a_decision_every_number_stays(applied: Applied) -> None:
    """A 503 is no number: the HPA says that it has no metric, and changes nothing."""
    cluster = applied.cluster
    cluster.decide(worker=20)
    scaled(cluster, 20)
    cluster.decide(worker=None)

    def inactive() -> bool:
        found = cluster.get("/apis/autoscaling/v2/namespaces/snapsurge/horizontalpodautoscalers/keda-hpa-workers")
        return any(one["type"] == "ScalingActive" and one["status"] == "False" for one in found["status"]["conditions"])

    until(inactive, "the HPA to miss its metric")
    held = until(lambda: [cluster.replicas(*TARGETS["worker"]) for _ in range(10) if not time.sleep(2)], "ten looks")
    assert held == [20] * 10


def test_nodes_and_balancers_follow_the_ladder_and_come_back(applied: Applied) -> None:
    """Point 8: up at once before a moment, and to the least after it in steps, each tier by its own number."""
    cluster = applied.cluster
    cluster.decide(node=12, lb=5)
    scaled(cluster, 12, "node")
    scaled(cluster, 5, "lb")
    until(lambda: len(cluster.pods("node")) == 12, "the pods of 12 nodes")

    cluster.decide(node=0, lb=0)
    nodes = course(cluster, "node", 2)
    scaled(cluster, 3, "node")
    scaled(cluster, 2, "lb")

    print("nodes:", nodes)
    assert all(before - after <= 3 for before, after in pairwise(nodes))
