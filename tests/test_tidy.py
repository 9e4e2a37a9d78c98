"""House rules that a machine can check: arrows, pure modules, names, sizes, mirrors. Documents: test_documents.py.

Sizes are a ratchet: a module or function over budget is listed here with its size, and the number only goes down. The
list exists to be used: one class in one file that reads best is better than a split, a mixin or a splatted tuple.
"""

import ast
import importlib
import importlib.metadata
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pure import PURE

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("lb", "ingest", "processors", "storage", "bench", "deploy")
# `ingest/recipes/` has programs for clients, which the documentation shows: no modules of ours.
RECIPES = ROOT / "ingest" / "recipes"
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if path.parent != RECIPES)
TEST_FILES = sorted((ROOT / "tests").rglob("*.py"))

ARROWS: dict[str, set[str]] = {
    "lb": set(),
    "storage": set(),
    "ingest": {"storage"},
    "processors": {"storage"},
    "bench": set(),
    "deploy": set(),
}
# `bench/simulation` plays the project's own rules: of the other packages it imports pure modules, and nothing else.
PURE_EXCEPTIONS = {"bench/simulation"}

# Which modules may import a library: its edge, where its errors are translated, and programs that measure against it.
EDGES = {
    "botocore": {"storage/s3/credentials.py", "bench/peers/bare.py"},
    "aiobotocore": {"storage/s3/credentials.py", "bench/peers/bare.py"},
    "arq": {
        "storage/queue/jobs.py",
        "storage/queue/claims.py",
        "processors/registry.py",
        "processors/retries.py",
        "processors/functions.py",
        "processors/worker.py",
        "processors/drill.py",
        "bench/peers/arq_jobs.py",
        "bench/peers/textbook.py",
    },
}
IMPURE_IMPORTS = {"asyncio", "os", "random", "secrets", "socket", "time", "aiohttp", "redis", "aioboto3", "subprocess"}
BANNED_NAMES = {"util", "utils", "common", "manager", "helper", "helpers", "base", "misc"}

MODULE_LINES_MAX = 300
FUNCTION_LINES_MAX = 50
OVERSIZE_MODULES: dict[str, int] = {
    "lb/relay/client.py": 370,  # one connection, one state machine
    "lb/relay/exchange.py": 350,  # one request from its head to its log row
    "lb/placement/fleet.py": 307,  # one class, with a reason at each decision
    "storage/existence.py": 303,  # all transitions of a post, with the reason for the order of their steps
    "storage/s3/endpoints.py": 303,  # one state machine of all endpoints
}
OVERSIZE_FUNCTIONS: dict[str, int] = {}


def name_of(path: Path) -> str:
    """A path as the tables above write it."""
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    """The parsed file."""
    return ast.parse(path.read_text(), filename=str(path))


def is_pure(name: str) -> bool:
    """Whether this is a pure module, or a name in one."""
    return any("/".join(name.split(".")[:depth]) + ".py" in PURE for depth in range(2, name.count(".") + 2))


def is_test(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether pytest fills its arguments in: a test, or a fixture."""
    marks = [ast.unparse(one) for one in node.decorator_list]
    return node.name.startswith("test_") or any(one.startswith("pytest.fixture") for one in marks)


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
        if level or target not in PACKAGES or (is_pure(name) and name_of(path.parent) in PURE_EXCEPTIONS):
            continue
        assert target != package, f"{name}: inside a package imports are relative"
        assert target in ARROWS[package], f"{package} must not import {name}"


def test_the_simulation_imports_pure_modules_only() -> None:
    """The exception is for pure modules and names in them, not for their packages or neighbours."""
    assert is_pure("ingest.commits")
    assert is_pure("ingest.commits.Commits")
    assert not [name for name in ("ingest", "ingest.uploads", "lb.placement", "ingest.config.Config") if is_pure(name)]


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


def texts_of(tree: ast.Module) -> Iterator[str]:
    """Every text of a module but its docstrings."""
    bodies = [getattr(node, "body", None) for node in ast.walk(tree)]
    openings = [body[0] for body in bodies if isinstance(body, list) and body]
    docstrings = {id(one.value) for one in openings if isinstance(one, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


@pytest.mark.parametrize("path", [path for path in MODULES if path.parts[-2:] != ("storage", "keys.py")], ids=name_of)
def test_stored_names_stand_in_one_module(path: Path) -> None:
    """A key of Redis is spelled in storage/keys.py; lb, which imports nothing of ours, spells those it needs."""
    known = r"(?<!urn:)snapsurge:" + ("(?!nodes|targets)" if name_of(path).startswith("lb/") else "")
    assert [text for text in texts_of(tree_of(path)) if re.search(f"{known}|arq:queue", text)] == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_foreign_library_is_known_at_one_edge(path: Path) -> None:
    """What the table above confines is imported nowhere else."""
    imported = {name.split(".")[0] for level, name in imports_of(tree_of(path)) if not level}
    assert {library for library in imported & EDGES.keys() if name_of(path) not in EDGES[library]} == set()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_names_are_domain_nouns(path: Path) -> None:
    """No module or package is named after nothing in particular."""
    assert not {part.removesuffix(".py") for part in path.relative_to(ROOT).parts} & BANNED_NAMES


@pytest.mark.parametrize("path", [*MODULES, *TEST_FILES], ids=name_of)
def test_each_file_opens_with_its_contract(path: Path) -> None:
    """A module says first what it decides and what it does not know."""
    assert ast.get_docstring(tree_of(path))


def public_docstrings(node: ast.Module | ast.ClassDef) -> Iterator[tuple[str, str]]:
    """The name and docstring of each public class, function and method; those inside functions are not public."""
    for one in node.body:
        if isinstance(one, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not one.name.startswith("_"):
            yield one.name, ast.get_docstring(one) or ""
            if isinstance(one, ast.ClassDef):
                yield from public_docstrings(one)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_public_docstrings_say_something(path: Path) -> None:
    """Three words or fewer only repeat the name."""
    short = [(name, text) for name, text in public_docstrings(tree_of(path)) if text and len(text.split()) <= 3]
    assert short == []


@pytest.mark.parametrize("path", [*MODULES, *TEST_FILES], ids=name_of)
def test_sizes_only_go_down(path: Path) -> None:
    """Modules and functions stay inside the budget, or at most at the size listed here."""
    assert len(path.read_text().splitlines()) <= OVERSIZE_MODULES.get(name_of(path), MODULE_LINES_MAX)
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
    """test_<module>.py, `__main__` being test_main, in tests/unit/<folder>, or tests/component where it needs Redis."""
    relative = path.relative_to(ROOT)
    stem = "main" if relative.stem == "__main__" else relative.stem
    rooms = [ROOT / "tests" / room / relative.parent for room in ("unit", "component")]
    assert any((room / f"test_{stem}.py").exists() for room in rooms)


UNIT_TESTS = [path for path in TEST_FILES if "unit" in path.parts]


@pytest.mark.parametrize("path", UNIT_TESTS, ids=name_of)
def test_unit_tests_need_no_server(path: Path) -> None:
    """A test that asks for a real Redis or MinIO stands in tests/component."""
    servers = {"redis", "redis_url", "redis_server", "minio_url", "s3_url"}
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and is_test(node):
            assert not servers & {one.arg for one in node.args.args}, node.name


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
    if {"unit", "component"} & set(path.relative_to(ROOT).parts):
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
    assert set(phony.split()) == set(re.findall(r"^([a-z0-9-]+):.*## ", text, re.MULTILINE))
