"""deploy/k8s as data: each object by kind and name, and what the tests ask of the pods in them."""

import importlib
from pathlib import Path
from typing import Any

import msgspec
import yaml

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "deploy" / "k8s"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
OBJECTS: dict[str, dict[str, Any]] = {
    f"{found['kind']}/{found['metadata']['name']}": found
    for name in KUSTOMIZATION["resources"]
    for found in yaml.safe_load_all((FOLDER / name).read_text())
}
PODS = sorted(name for name, found in OBJECTS.items() if "template" in found.get("spec", {}))


def pod(name: str) -> dict[str, Any]:
    """The pod of a workload."""
    found: dict[str, Any] = OBJECTS[name]["spec"]["template"]["spec"]
    return found


def container(name: str) -> dict[str, Any]:
    """Its one container."""
    (found,) = pod(name)["containers"]
    return dict(found)


def settings(name: str) -> dict[str, Any]:
    """The environment that is given by value, with the names of what is not."""
    given = {one["name"]: one.get("value") for one in container(name)["env"]}
    return OBJECTS["ConfigMap/snapsurge"]["data"] | given


def settings_of(*packages: str) -> set[str]:
    """The names in the environment that these packages read."""
    return {
        field.encode_name
        for package in packages
        for field in msgspec.structs.fields(importlib.import_module(f"{package}.config").Config)
    }
