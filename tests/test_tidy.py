"""House rules that a machine can check: arrows, pure modules, names, sizes, mirrors. Documents: test_documents.py.

Sizes are a ratchet: a module or function over budget is listed here with its size, and the number only goes down.
"""

import ast
import importlib
import importlib.metadata
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("lb", "ingest", "processors", "storage", "bench", "deploy")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TEST_FILES = sorted((ROOT / "tests").rglob("*.py"))

ARROWS: dict[str, set[str]] = {
    "lb": set(),
    "storage": set(),
    "ingest": {"storage"},
    "processors": {"storage"},
    "bench": set(),  # and storage.records, see ARROW_EXCEPTIONS
    "deploy": set(),
}
ARROW_EXCEPTIONS = {("bench", "storage.records")}

# Pure modules decide: no await, no clock, no randomness, no environment; `now`, `rng` and config come in.
PURE = {
    "bench/burst.py",
    "bench/chart.py",
    "bench/drawing.py",
    "bench/overload_rows.py",
    "bench/plan.py",
    "ingest/admission.py",
    "ingest/asked.py",
    "ingest/commits.py",
    "ingest/errors.py",
    "ingest/limits.py",
    "ingest/multipart.py",
    "ingest/outages.py",
    "ingest/places.py",
    "ingest/readiness.py",
    "ingest/reading.py",
    "ingest/returns.py",
    "lb/access.py",
    "lb/body.py",
    "lb/budget.py",
    "lb/counters.py",
    "lb/errors.py",
    "lb/faults.py",
    "lb/fleet.py",
    "lb/forward.py",
    "lb/head.py",
    "lb/keys.py",
    "lb/node.py",
    "lb/nodes.py",
    "lb/ordinary.py",
    "lb/overrides.py",
    "lb/pace.py",
    "lb/peers.py",
    "lb/placement.py",
    "lb/policy.py",
    "lb/private.py",
    "lb/proxyproto.py",
    "lb/refusals.py",
    "lb/replay.py",
    "lb/ring.py",
    "lb/roster.py",
    "lb/slots.py",
    "lb/standing.py",
    "lb/tickets.py",
    "processors/passes.py",
    "processors/pulse.py",
    "processors/scaling.py",
    "storage/intake.py",
    "storage/keys.py",
    "storage/lease.py",
    "storage/media.py",
    "storage/records.py",
    "storage/signing.py",
    "storage/tombstones.py",
    "storage/zips.py",
}
IMPURE_IMPORTS = {"asyncio", "os", "random", "secrets", "socket", "time", "aiohttp", "redis", "aioboto3", "subprocess"}
BANNED_NAMES = {"util", "utils", "common", "manager", "helper", "helpers", "base", "misc"}

MODULE_LINES_MAX = 300
FUNCTION_LINES_MAX = 50
OVERSIZE_MODULES: dict[str, int] = {}
OVERSIZE_FUNCTIONS: dict[str, int] = {}


def name_of(path: Path) -> str:
    """A path as the tables above write it."""
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    """The parsed file."""
    return ast.parse(path.read_text(), filename=str(path))


def imports_of(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(relative level, dotted name) of every import, `from x import y` giving `x` and `x.y`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module or ""
            if node.level == 0:
                yield from ((0, f"{node.module}.{alias.name}") for alias in node.names)


def test_top_level_has_only_the_agreed_folders() -> None:
    """No folder but the seven and dot-folders."""
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith((".", "__"))}

    assert folders == {*PACKAGES, "tests"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_arrows_point_one_way(path: Path) -> None:
    """A package imports only what its arrow allows, relatively inside itself and absolutely across."""
    package = path.relative_to(ROOT).parts[0]
    for level, name in imports_of(tree_of(path)):
        target = name.split(".")[0]
        if level or target not in PACKAGES:
            continue
        assert target != package, f"{name}: inside a package imports are relative"
        allowed = target in ARROWS[package] or any(
            package == source and (name == module or name.startswith(f"{module}."))
            for source, module in ARROW_EXCEPTIONS
        )
        assert allowed, f"{package} must not import {name}"


@pytest.mark.parametrize("name", sorted(PURE))
def test_pure_modules_only_decide(name: str) -> None:
    """A pure module has no coroutine, and imports nothing that reaches the outside."""
    tree = tree_of(ROOT / name)
    reached = {module.split(".")[0] for level, module in imports_of(tree) if not level}
    assert not reached & IMPURE_IMPORTS
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef | ast.Await)]
    clock = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in {"now", "utcnow"}]
    assert not [
        node for node in clock if isinstance(node.value, ast.Name) and node.value.id in {"datetime", "date", "time"}
    ]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_names_are_domain_nouns(path: Path) -> None:
    """No module or package is named after nothing in particular."""
    assert not {part.removesuffix(".py") for part in path.relative_to(ROOT).parts} & BANNED_NAMES


@pytest.mark.parametrize("path", [*MODULES, *TEST_FILES], ids=name_of)
def test_each_file_opens_with_its_contract(path: Path) -> None:
    """A module says first what it decides and what it does not know."""
    assert ast.get_docstring(tree_of(path))


@pytest.mark.parametrize("path", [*MODULES, *TEST_FILES], ids=name_of)
def test_sizes_only_go_down(path: Path) -> None:
    """Modules and functions stay inside the budget, or at most at the size listed here."""
    lines = len(path.read_text().splitlines())
    assert lines <= OVERSIZE_MODULES.get(name_of(path), MODULE_LINES_MAX)
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = (node.end_lineno or 0) - node.lineno + 1
            key = f"{name_of(path)}::{node.name}"
            assert size <= OVERSIZE_FUNCTIONS.get(key, FUNCTION_LINES_MAX), f"{key} has {size} lines"


def test_the_ratchet_lists_no_ghosts() -> None:
    """What the ratchet excuses still exists and is still over budget."""
    for name, size in OVERSIZE_MODULES.items():
        assert len((ROOT / name).read_text().splitlines()) == size > MODULE_LINES_MAX
    for key in OVERSIZE_FUNCTIONS:
        assert (ROOT / key.split("::")[0]).exists()


@pytest.mark.parametrize("path", [path for path in MODULES if path.name != "__init__.py"], ids=name_of)
def test_every_module_has_its_test_file(path: Path) -> None:
    """tests/unit/<package>/test_<module>.py exists, `__main__` being test_main."""
    relative = path.relative_to(ROOT)
    stem = "main" if relative.stem == "__main__" else relative.stem
    assert (ROOT / "tests" / "unit" / relative.parent / f"test_{stem}.py").exists()


@pytest.mark.parametrize("path", TEST_FILES, ids=name_of)
def test_tests_say_one_sentence_and_never_sleep_for_luck(path: Path) -> None:
    """Every test has a docstring; unit tests do not sleep; nothing is patched."""
    tree = tree_of(path)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            assert ast.get_docstring(node), f"{node.name} has no sentence"
    text = path.read_text()
    if path != Path(__file__).resolve():
        assert "mock.patch" not in text
    if "unit" in path.relative_to(ROOT).parts:
        assert not re.search(r"\b(asyncio|time)\.sleep\((?!0\))", text), "unit tests use a fake clock"


def test_our_names_are_nobody_elses() -> None:
    """No dependency ships a top-level package of ours, and ours are the ones imported."""
    assert not set(PACKAGES) & set(sys.stdlib_module_names)
    assert not set(PACKAGES) & set(importlib.metadata.packages_distributions())
    for package in PACKAGES:
        assert Path(importlib.import_module(package).__file__ or "").is_relative_to(ROOT)


def test_every_defence_names_its_test() -> None:
    """Each row of SECURITY.md's tables names at least one test, and every test it names exists."""
    text = (ROOT / "SECURITY.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    rows_of_threats = re.findall(r"^\| (?!threat|---).+$", text, re.MULTILINE)
    assert len(rows_of_threats) > 20
    assert [row for row in rows_of_threats if "tests/" not in row] == []
    missing = [f"{file}::{name}" for file, name in named if f"def {name}(" not in (ROOT / file).read_text()]
    assert missing == []


def test_every_make_target_is_explained() -> None:
    """`make help` has a line for each target."""
    text = (ROOT / "Makefile").read_text()
    phony = " ".join(re.findall(r"^\.PHONY: (.+)$", text, re.MULTILINE))
    assert set(phony.split()) == set(re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE))
