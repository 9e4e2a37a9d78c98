"""deploy/k8s, the pods: what they may do, when they are taken for dead, how long they may take to go, what is secret.

Each check is a function that names what is missing, and is itself checked on a manifest that lacks it.
"""

import copy
import inspect
import re
import tomllib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import msgspec
import pytest

import ingest.calls
import ingest.config
import lb.config
import lb.ops.admin
import processors.config
import processors.metrics
from tests.unit.deploy.manifests import ALL_PODS, FOLDER, OBJECTS, PODS, ROOT, SETTINGS, SITE, container, pod, settings

# Beyond what a program gives itself: Python starts to end, the kubelet looks.
GRACE_MARGIN_S = 5
# A cloud's load balancer asks every 5 to 6 s, and twice or thrice before it sends elsewhere.
CLOUD_NOTICES_S = 15
SERVING = {"lb": lb.ops.admin, "ingest": ingest.calls, "processors": processors.metrics}
CONFIGS: dict[str, Any] = {"lb": lb.config, "ingest": ingest.config, "processors": processors.config}
CREDENTIALS = re.compile(r"://[^/]*@")
SECRET_NAMES = re.compile("SECRET|SEED|KEY|PASSWORD|REDIS_URL|SHARD_URLS|QUEUE_URLS")


def image_uid() -> int:
    """The user that the Dockerfile makes for our programs."""
    (found,) = re.findall(
        r"useradd --system --uid (\d+) --create-home snapsurge", (ROOT / "deploy/Dockerfile").read_text()
    )
    return int(found)


def unconfined(pod: dict[str, Any]) -> list[str]:
    """What a pod may do that none of our programs needs."""
    everywhere = pod.get("securityContext", {})
    wanted: dict[str, Any] = {
        "runAsNonRoot": True,
        "runAsUser": image_uid(),
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    found = [key for key, value in wanted.items() if everywhere.get(key) != value]
    found += ["automountServiceAccountToken"] * (pod.get("automountServiceAccountToken") is not False)
    for one in pod["containers"]:
        its = one.get("securityContext", {})
        wanted = {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        found += [key for key, value in wanted.items() if its.get(key) != value]
        found += [key for key in its if key not in wanted]
    return found


def unwritable(pod: dict[str, Any]) -> list[str]:
    """Files that a program is told to write outside its volumes; without such settings ours write none."""
    (only,) = pod["containers"]
    volumes = {one["name"] for one in pod.get("volumes", [])}
    places = [PurePosixPath(one["mountPath"]) for one in only.get("volumeMounts", []) if one["name"] in volumes]
    files = re.compile("SNAPSHOT|ACCESS_LOG|TRACE$|HANDOVER")
    told = {one["name"]: one["value"] for one in only["env"] if one.get("value") and files.search(one["name"])}
    return [name for name, file in told.items() if not any(PurePosixPath(file).is_relative_to(at) for at in places)]


def unwatched(pod: dict[str, Any]) -> list[str]:
    """Probes that are missing, or ask for a path that the program does not serve."""
    (only,) = pod["containers"]
    served = inspect.getsource(SERVING[only["args"][2]])
    paths = {one: only.get(one, {}).get("httpGet", {}).get("path") for one in ("readinessProbe", "livenessProbe")}
    found = [probe for probe, path in paths.items() if path is None or f'"{path}"' not in served]
    # Not ready is no reason to be killed: a balancer without nodes, a node without a store.
    return found + [probe for probe, path in paths.items() if probe == "livenessProbe" and path not in {None, "/livez"}]


def told(only: dict[str, Any], name: str) -> float:
    """A setting of a container's program in seconds: the manifest's value, else the program's own default."""
    fields = {one.encode_name: one.default for one in msgspec.structs.fields(CONFIGS[only["args"][2]].Config)}
    given = {one["name"]: one["value"] for one in only["env"] if "value" in one}
    return float(given.get(name, fields[name])) / (1000 if name.endswith("_MS") else 1)


def too_hasty(pod: dict[str, Any]) -> list[str]:
    """What a pod that is told to go does too early for others, or is killed in."""
    (only,) = pod["containers"]
    if "--decide-only" in only["args"]:
        return []  # has nothing to finish
    package = only["args"][2]
    going = {
        "lb": ("SNAPSURGE_LB_ANNOUNCE_MS", "SNAPSURGE_LB_DRAIN_FRESH_MS", "SNAPSURGE_LB_DRAIN_S"),
        "ingest": ("SNAPSURGE_INGEST_ANNOUNCE_S", "SNAPSURGE_INGEST_DRAIN_S"),
        "processors": ("SNAPSURGE_PROCESSORS_DRAIN_S",),
    }[package]
    needed_s = sum(told(only, name) for name in going) + GRACE_MARGIN_S
    found = ["terminationGracePeriodSeconds"] if pod.get("terminationGracePeriodSeconds", 30) < needed_s else []
    probe = only["readinessProbe"]
    if package == "lb" and probe["periodSeconds"] * (probe.get("failureThreshold", 3) - 1) < told(only, going[0]):
        # With externalTrafficPolicy Local kube-proxy sends to one that ends if none else is there, and it is ready
        # (KEP-1669); what still comes for any other is dropped.
        found.append("readinessProbe")
    noticed_s = {"lb": CLOUD_NOTICES_S, "ingest": balancers_notice_s(), "processors": 0.0}[package]
    return found + ([going[0]] if "ANNOUNCE" in going[0] and told(only, going[0]) < noticed_s else [])


def balancers_notice_s() -> float:
    """How long a balancer may take to see in Redis that a node leaves: its pause and a tenth, then a slow answer."""
    balancer = container("Deployment/balancers")
    return 1.1 * told(balancer, "SNAPSURGE_LB_MEMBERS_S") + told(balancer, "SNAPSURGE_LB_REDIS_TIMEOUT_MS")


def exposed(given: dict[str, str | None]) -> list[str]:
    """Settings by value that are secret, or hold a secret."""
    return [name for name, value in given.items() if value and (SECRET_NAMES.search(name) or CREDENTIALS.search(value))]


def without(found: Any, path: tuple[str | int, ...]) -> Any:
    """A copy that lacks one field."""
    copied = inside = copy.deepcopy(found)
    for step in path[:-1]:
        inside = inside[step]
    del inside[path[-1]]
    return copied


def fields(found: Any, *path: str | int) -> Iterator[tuple[str | int, ...]]:
    """The paths of everything in a manifest that is no list or object."""
    inside = found.items() if isinstance(found, dict) else enumerate(found)
    for step, value in inside:
        if isinstance(value, dict | list):
            yield from fields(value, *path, step)
        else:
            yield (*path, step)


@pytest.mark.parametrize("name", ALL_PODS)
def test_a_pod_may_do_what_it_needs(name: str) -> None:
    """No root, no further privileges, no system calls that nobody needs, no writing but in its volumes."""
    assert unconfined(pod(name)) == []
    assert name not in PODS or unwritable(pod(name)) == []


@pytest.mark.parametrize("name", PODS)
def test_a_pod_that_may_do_more_is_found(name: str) -> None:
    """Whichever field of its security is left out, and whatever is given beside them."""
    found = pod(name)
    paths = [path for path in fields(found) if {"securityContext", "automountServiceAccountToken"} & {*path}]
    assert len(paths) == 7
    for path in paths:
        assert unconfined(without(found, path))
    more = copy.deepcopy(found)
    more["containers"][0]["securityContext"]["privileged"] = True
    assert unconfined(more) == ["privileged"]


def test_a_file_outside_the_volumes_is_found() -> None:
    """The balancer's snapshot without its mount, and without the volume that is mounted."""
    found = pod("Deployment/balancers")

    assert unwritable(without(found, ("volumes", 0))) == ["SNAPSURGE_LB_SNAPSHOT"]
    assert unwritable(without(found, ("containers", 0, "volumeMounts", 0))) == ["SNAPSURGE_LB_SNAPSHOT"]


@pytest.mark.parametrize("name", PODS)
def test_a_pod_is_watched(name: str) -> None:
    """Readiness and liveness, each by a path that its program serves; a pod without one of them is found."""
    found = pod(name)

    assert unwatched(found) == []
    for probe in ("readinessProbe", "livenessProbe"):
        assert unwatched(without(found, ("containers", 0, probe))) == [probe]
    wrong = copy.deepcopy(found)
    wrong["containers"][0]["livenessProbe"]["httpGet"]["path"] = "/healthz"
    assert "livenessProbe" in unwatched(wrong)


@pytest.mark.parametrize("name", PODS)
def test_a_pod_goes_when_others_know_and_work_is_done(name: str) -> None:
    """It announces for as long as whoever sends to it takes to notice, then finishes, and only then may be killed."""
    assert too_hasty(pod(name)) == []


def test_a_pod_that_goes_too_early_is_found() -> None:
    """A balancer with its own default, a node that is gone before the next look, graces a second too short."""
    balancer, node, worker = pod("Deployment/balancers"), pod("StatefulSet/node"), pod("Deployment/workers")
    names = [one["name"] for one in balancer["containers"][0]["env"]]
    announced = ("containers", 0, "env", names.index("SNAPSURGE_LB_ANNOUNCE_MS"))
    brief = copy.deepcopy(node)
    brief["containers"][0]["env"].append({"name": "SNAPSURGE_INGEST_ANNOUNCE_S", "value": "1"})

    assert too_hasty(without(balancer, announced)) == ["SNAPSURGE_LB_ANNOUNCE_MS"]
    assert too_hasty(without(balancer, ("containers", 0, "readinessProbe", "failureThreshold"))) == ["readinessProbe"]
    assert too_hasty(brief) == ["SNAPSURGE_INGEST_ANNOUNCE_S"]
    for found, least in ((balancer, 15 + 1 + 30 + 5), (node, 2.5 + 30 + 5), (worker, 35 + 5)):
        assert too_hasty({**found, "terminationGracePeriodSeconds": least}) == []
        assert too_hasty({**found, "terminationGracePeriodSeconds": least - 1}) == ["terminationGracePeriodSeconds"]


def test_the_image_is_that_of_this_version() -> None:
    """A tag that moves would bring two versions into one rollout, and nothing to roll back to."""
    (image,) = SITE["images"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert image == {"name": "snapsurge", "newTag": project["version"]}
    assert {container(name)["image"] for name in ALL_PODS} == {image["name"]}


@pytest.mark.parametrize("name", PODS)
def test_nothing_secret_stands_in_a_file(name: str) -> None:
    """Neither by value nor inside a value, as a password in the address of Redis; the address is a secret whole."""
    redis = next(one for one in container(name)["env"] if one["name"] == "SNAPSURGE_REDIS_URL")

    assert exposed(settings(name)) == []
    assert redis["valueFrom"] == {"secretKeyRef": {"name": "snapsurge", "key": "redis-url"}}
    assert "SNAPSURGE_REDIS_URL" not in SETTINGS


def test_a_secret_in_a_file_would_be_found() -> None:
    """By its name, and by what it looks like."""
    url = "redis://:password@redis:6379/0"

    assert exposed({"SNAPSURGE_REDIS_URL": "redis://redis:6379/0"}) == ["SNAPSURGE_REDIS_URL"]
    assert exposed({"CACHE": url, "SNAPSURGE_AUTH_SECRET": "x", "PLAIN": "s3://b?endpoint=http://minio:9000"}) == [
        "CACHE",
        "SNAPSURGE_AUTH_SECRET",
    ]
    assert exposed({"SNAPSURGE_AUTH_SECRET": None}) == []


def test_balancers_share_their_secrets() -> None:
    """A ring and tickets that are the same at all of them; without a setting each would draw its own ticket secret."""
    given = {one["name"]: one.get("valueFrom") for one in container("Deployment/balancers")["env"]}

    assert OBJECTS["ScaledObject/balancers"]["spec"]["minReplicaCount"] > 1
    assert given["SNAPSURGE_LB_RING_SEED"]
    assert given["SNAPSURGE_LB_TICKET_SECRET"]


def test_nodes_know_balancers_by_a_secret_and_not_by_a_network() -> None:
    """The same one on both sides, so that no other pod of whatever network may say when an upload was received."""
    given = [
        {one["name"]: one.get("valueFrom", {}).get("secretKeyRef", {}).get("key") for one in container(name)["env"]}
        for name in ("Deployment/balancers", "StatefulSet/node")
    ]

    assert given[0]["SNAPSURGE_LB_STAMP_SECRET"] == given[1]["SNAPSURGE_INGEST_STAMP_SECRET"] == "stamp-secret"
    assert settings("StatefulSet/node")["SNAPSURGE_INGEST_TRUSTED_PEERS"] == ""


def test_every_key_of_the_secret_is_explained() -> None:
    """The example of the file that it is made of names what the pods take from it, and git ignores the file itself."""
    taken = {
        one["valueFrom"]["secretKeyRef"]["key"]
        for name in PODS
        for one in container(name)["env"]
        if "secretKeyRef" in one.get("valueFrom", {})
    }
    (generator,) = SITE["secretGenerator"]
    example = (FOLDER / "site" / "secrets.example.env").read_text()

    assert taken == set(re.findall(r"^(?:# )?([a-z-]+)=", example, re.MULTILINE))
    assert f"deploy/k8s/site/{generator['envs'][0]}" in (ROOT / ".gitignore").read_text().splitlines()


@pytest.mark.parametrize("name", [name for name in PODS if name != "Deployment/balancers"])
def test_workload_identity_can_take_the_place_of_keys(name: str) -> None:
    """The keys are optional, and the pods have an account that a cloud can know."""
    refs = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in container(name)["env"] if "valueFrom" in one
            and "secretKeyRef" in one["valueFrom"]}  # fmt: skip

    assert [refs[key]["optional"] for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")] == [True, True]
    assert f"ServiceAccount/{pod(name)['serviceAccountName']}" in OBJECTS


def test_a_previous_secret_is_wired() -> None:
    """Tokens that were signed with it are accepted during a rotation; it need not be there."""
    refs = {one["name"]: one.get("valueFrom") for one in container("StatefulSet/node")["env"]}

    assert refs["SNAPSURGE_AUTH_SECRET_PREVIOUS"] == {
        "secretKeyRef": {"name": "snapsurge", "key": "auth-secret-previous", "optional": True}
    }
