"""Rooms: the sub-packages of a package import only what stands below them; neither modules nor rooms form a circle.

Every import counts, also one inside a function and one under `TYPE_CHECKING`: a circle that only the type checker
walks is still two modules that cannot be understood one after the other.
"""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("bench", "deploy", "ingest", "lb", "processors", "storage")

# Levels of each package, the top first; a name is a room or a module beside the rooms. A module imports what stands
# lower, or its own room; two names on one level do not import each other.
LEVELS: dict[str, list[set[str]]] = {
    "lb": [
        {"__main__"},
        {"measure"},
        {"server"},
        {"front", "ops"},
        {"relay", "membership"},
        {"http1", "placement"},
        {"config", "causes"},
        {"about", "holder_path", "logs", "networks", "private_paths", "redis_address"},
    ],
}


def modules_of(package: str) -> dict[str, Path]:
    """The package's files by dotted name."""
    files = sorted((ROOT / package).rglob("*.py"))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


def imports_of(name: str, path: Path, known: set[str]) -> Iterator[str]:
    """The modules of the same package that this one imports."""
    parts = name.split(".")
    package = parts if path.name == "__init__.py" else parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(), filename=str(path))):
        if isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*start, *([node.module] if node.module else [])])
            names = {f"{source}.{alias.name}" for alias in node.names} & known
            yield from names or {source} & known
        elif isinstance(node, ast.Import):
            yield from {alias.name for alias in node.names} & known


def graph_of(package: str) -> dict[str, set[str]]:
    """Each module and what it imports."""
    modules = modules_of(package)
    return {name: set(imports_of(name, path, set(modules))) for name, path in modules.items()}


@pytest.mark.parametrize("package", sorted(LEVELS))
def test_every_room_has_a_level(package: str) -> None:
    """And every level names what exists."""
    listed = [name for level in LEVELS[package] for name in level]
    there = {name.split(".")[1] for name in modules_of(package) if "." in name}

    assert sorted(listed) == sorted(there)


@pytest.mark.parametrize("package", sorted(LEVELS))
def test_rooms_import_only_downward(package: str) -> None:
    """No arrow goes up, and none goes to a neighbour on the same level."""
    depth = {f"{package}.{name}": number for number, level in enumerate(LEVELS[package]) for name in level}

    def room(name: str) -> str:
        return ".".join(name.split(".")[:2])

    wrong = [
        f"{name} -> {target}"
        for name, targets in graph_of(package).items()
        for target in targets
        if "." in name and room(name) != room(target) and depth.get(room(target), -1) <= depth[room(name)]
    ]
    assert wrong == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_imports_itself_through_others(package: str) -> None:
    """A circle is shown as it runs."""
    circle: list[str] = []
    try:
        TopologicalSorter(graph_of(package)).prepare()
    except CycleError as error:
        circle = error.args[1]
    assert circle == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_room_imports_itself_through_others(package: str) -> None:
    """Also where no two modules form a circle: two rooms that need each other are one room."""

    def room(name: str) -> str:
        return ".".join(name.split(".")[:2]) if name.count(".") > 1 else name

    rooms: dict[str, set[str]] = {}
    for name, targets in graph_of(package).items():
        rooms.setdefault(room(name), set()).update({room(target) for target in targets} - {room(name)})
    circle: list[str] = []
    try:
        TopologicalSorter(rooms).prepare()
    except CycleError as error:
        circle = error.args[1]
    assert circle == []
