"""deploy/k8s as data: each object by kind and name, and what the tests ask of the pods in them.

The files as they are, without kustomize: what comes out of base, site and overlays together is seen by tests/k8s.
"""

import importlib
from pathlib import Path
from typing import Any

import msgspec
import yaml

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "deploy" / "k8s"
# The folders that have objects of their own, and all that say how they are put together.
WITH_OBJECTS = ("base", "monitoring", "placeholders")
KUSTOMIZATIONS: dict[str, dict[str, Any]] = {
    path.parent.relative_to(FOLDER).as_posix(): yaml.safe_load(path.read_text())
    for path in sorted(FOLDER.rglob("kustomization.yaml"))
}
SITE = KUSTOMIZATIONS["site"]
OBJECTS: dict[str, dict[str, Any]] = {
    f"{found['kind']}/{found['metadata']['name']}": found
    for folder in WITH_OBJECTS
    for name in KUSTOMIZATIONS[folder]["resources"]
    for found in yaml.safe_load_all((FOLDER / folder / name).read_text())
}
ALL_PODS = sorted(name for name, found in OBJECTS.items() if "template" in found.get("spec", {}))
# Placeholders run nothing of ours.
PODS = [name for name in ALL_PODS if name != "Deployment/placeholders"]
# What the ConfigMap `snapsurge` has: literals of base, then the file of site.
SETTINGS = dict(
    line.split("=", 1)
    for line in (
        *KUSTOMIZATIONS["base"]["configMapGenerator"][0]["literals"],
        *(FOLDER / "site" / "settings.env").read_text().splitlines(),
    )
    if line and not line.startswith("#")
)


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
    return SETTINGS | given


def settings_of(*packages: str) -> set[str]:
    """The names in the environment that these packages read."""
    return {
        field.encode_name
        for package in packages
        for field in msgspec.structs.fields(importlib.import_module(f"{package}.config").Config)
    }
