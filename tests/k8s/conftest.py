"""One control plane for all tests of the folder, with six machines in three zones, KEDA and deploy/k8s applied.

Skipped, with one line that says why, where there is no root or where nothing is built (`make test-k8s` builds it).
"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.k8s.cluster import REPOSITORY, Cluster, lacking, machine, namespace, start_control_plane, until
from tests.k8s.keda import start_decider, start_keda

MACHINES, CPUS = 6, 20
SECRETS = """auth-secret=auth-secret-for-tests-of-32-chars
ring-seed=a-seed-for-tests
ticket-secret=ticket-secret-for-tests
link-secret=a-link-secret-for-tests-of-32-chars
stamp-secret=stamp-secret-for-tests
redis-url=redis://:password@redis:6379/0
access-key-id=snapsurge
secret-access-key=snapsurge-secret
"""


LEAST = {"node": 3, "balancers": 2, "workers": 2, "autoscaler": 2}
KINDS = {"node": "statefulsets", "balancers": "deployments", "workers": "deployments", "autoscaler": "deployments"}


class Applied:
    """A control plane with the manifests, from a copy that a test may change."""

    def __init__(self, cluster: Cluster, manifests: Path) -> None:
        self.cluster = cluster
        self.manifests = manifests

    def apply(self, overlay: str = "one-zone", *options: str) -> str:
        """`kubectl apply -k` as a person does it; what it prints."""
        return self.cluster.kubectl("apply", "-k", str(self.manifests / "overlays" / overlay), *options)


@pytest.fixture(scope="session")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Applied]:
    """Everything running: three nodes, two balancers, two workers, two autoscalers."""
    why = lacking()
    if why:
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("k8s")
    cluster, manifests = Cluster(folder), folder / "manifests"
    shutil.copytree(REPOSITORY / "deploy/k8s", manifests)
    (manifests / "site/secrets.env").write_text(SECRETS)
    with namespace(cluster.namespace):
        try:
            start_control_plane(cluster)
            cluster.kubectl("apply", "-f", "-", given="".join(machine(number, CPUS) for number in range(MACHINES)))
            start_keda(cluster)
            start_decider(cluster)
            found = Applied(cluster, manifests)
            found.apply()
            until(lambda: is_whole(cluster), "all pods of the first installation")
            yield found
        except BaseException:
            for log in sorted(folder.glob("*.log")):
                tail = subprocess.run(["tail", "-n", "5", str(log)], capture_output=True, text=True, check=False)
                print(f"--- {log.name}\n{tail.stdout}")
            raise
        finally:
            cluster.end_all()


@pytest.fixture(autouse=True)
def calm(applied: Applied) -> None:
    """Each test begins with the manifests as they are, and with the least of each tier."""
    manifests, cluster = applied.manifests, applied.cluster
    for folder in ("base", "site"):
        shutil.copytree(REPOSITORY / "deploy/k8s" / folder, manifests / folder, dirs_exist_ok=True)
    (manifests / "site/secrets.env").write_text(SECRETS)
    cluster.decide(worker=2, node=0, lb=0)
    if cluster.replicas("deployments", "workers") > LEAST["workers"]:
        # Without its HPA, which would take minutes.
        cluster.kubectl("-n", "snapsurge", "delete", "scaledobject", "workers")
        cluster.kubectl("-n", "snapsurge", "scale", "deployment/workers", f"--replicas={LEAST['workers']}")
    applied.apply()
    until(lambda: is_whole(cluster), "the least of each tier")


def is_whole(cluster: Cluster) -> bool:
    """Whether each tier has its least number of pods, and no rollout is under way."""
    return all(
        cluster.replicas(KINDS[name], name) == count and cluster.settled(KINDS[name], name)
        for name, count in LEAST.items()
    )


def is_ready(pod: dict[str, object]) -> bool:
    """Whether a pod is ready and is not being deleted."""
    status, metadata = pod["status"], pod["metadata"]
    assert isinstance(status, dict)
    assert isinstance(metadata, dict)
    conditions = {one["type"]: one["status"] for one in status.get("conditions", [])}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in metadata
