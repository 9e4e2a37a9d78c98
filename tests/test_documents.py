"""Every document says only what is there: paths, make targets, programs, links, and the settings page.

A path is what stands in backticks and begins with a folder of ours, or a Python file of the document's own folder.
What holds `…`, `*`, `{` or `<` is a placeholder and not looked for.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("lb", "ingest", "processors", "storage", "bench", "deploy", "tests", ".ci")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))])
PROGRAMS_OF_OTHERS = {"pytest", "pip", "venv"}

CODE = re.compile(r"`([^`\n]+)`")
FENCE = re.compile(r"^```[\s\S]*?^```|^(?: {4}|\$ ).+$", re.MULTILINE)
OURS = re.compile(rf"(?:{'|'.join(map(re.escape, FOLDERS))})/[\w./-]*")
ROOT_FILE = re.compile(r"[A-Z]+\.md|Makefile|pyproject\.toml|requirements[\w-]*\.lock")
PYTHON_FILE = re.compile(r"[\w/]+\.py")
LINK = re.compile(r"\]\(([^)\s]+)\)")


def name_of(path: Path) -> str:
    """A path from the root."""
    return path.relative_to(ROOT).as_posix()


def code_of(text: str) -> list[str]:
    """Code spans, one an item, and code blocks, one a line."""
    fences = FENCE.findall(text)
    return CODE.findall(FENCE.sub("", text)) + [line for fence in fences for line in fence.splitlines()]


def absent_paths(text: str, folder: Path) -> list[str]:
    """The paths in backticks that are not there, each with the places where a file of that name is."""
    absent = []
    for code in CODE.findall(FENCE.sub("", text)):
        path = code.partition("::")[0]
        if OURS.fullmatch(path) or ROOT_FILE.fullmatch(path):
            found = (ROOT / path).exists()
        elif folder != ROOT and PYTHON_FILE.fullmatch(path):
            found = (folder / path).exists() or any(folder.rglob(path))
        else:
            continue
        if not found:
            places = [name_of(place) for part in FOLDERS for place in (ROOT / part).rglob(Path(path).name)]
            absent.append(f"{path} (a file of this name: {', '.join(places) or 'none'})")
    return absent


def absent_targets(text: str) -> set[str]:
    """The make targets named in code that the Makefile lacks."""
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    return (
        set(re.findall(r"^(?:\s*|\$ |.*[;&] )make ([a-z][a-z0-9-]*)", "\n".join(code_of(text)), re.MULTILINE)) - targets
    )


def absent_programs(text: str) -> set[str]:
    """The modules behind `python -m` that cannot be run."""
    named = set(re.findall(r"python3? -m ([a-z_.]+)", "\n".join(code_of(text)))) - PROGRAMS_OF_OTHERS
    paths = {name: ROOT / name.replace(".", "/") for name in named}
    return {
        name
        for name, path in paths.items()
        if not ((path / "__main__.py").exists() or path.with_suffix(".py").exists())
    }


def heading_ids(text: str) -> set[str]:
    """The anchors that GitHub gives to the headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def dead_links(text: str, document: Path) -> list[str]:
    """The relative links without a file, or without the heading that they name."""
    dead = []
    for link in LINK.findall(FENCE.sub("", text)):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, heading = link.partition("#")
        target = document.parent / file
        if not target.exists() or (heading and heading not in heading_ids(target.read_text() if file else text)):
            dead.append(link)
    return dead


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_path_in_a_document_exists(document: Path) -> None:
    """A reader who follows a path finds the file."""
    assert absent_paths(document.read_text(), document.parent) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_command_in_a_document_exists(document: Path) -> None:
    """Each `make x` is a target, each `python -m x` a program."""
    assert absent_targets(document.read_text()) == set()
    assert absent_programs(document.read_text()) == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_relative_link_resolves(document: Path) -> None:
    """A link leads to a file of the tree, and to a heading where it names one."""
    assert dead_links(document.read_text(), document) == []


def test_what_is_not_there_is_found() -> None:
    """The three tests above see a stale path, target, program, link and heading, and pass over placeholders."""
    text = (
        "`lb/gone.py` `lb/gone/` `lb/config.py` `gone.py` `config.py` `tests/gone.py::test_x` `GONE.md` `bench/…` "
        "`make gone` `make setup` `python -m gone` `python -m lb`\n"
        "    make gone-too\n"
        "[a](gone.md) [b](README.md) [c](#heading) [d](#none) [e](https://example.org)\n# Heading\n"
    )

    absent = [path.split(" ")[0] for path in absent_paths(text, ROOT / "lb")]
    assert absent == ["lb/gone.py", "lb/gone/", "gone.py", "tests/gone.py", "GONE.md"]
    assert absent_targets(text) == {"gone", "gone-too"}
    assert absent_programs(text) == {"gone"}
    assert dead_links(text, ROOT / "README.md") == ["gone.md", "#none"]


def test_the_settings_page_is_generated() -> None:
    """SETTINGS.md is what `make settings` writes, and lists a setting of each package."""
    made = subprocess.run([sys.executable, ROOT / ".ci" / "settings.py"], capture_output=True, text=True, check=True)

    assert (ROOT / "SETTINGS.md").read_text() == made.stdout, "run: make settings"
    for package in ("LB", "INGEST", "PROCESSORS", "STORAGE", "BENCH", "DEPLOY"):
        assert f"`SNAPSURGE_{package}_" in made.stdout


def test_every_package_has_its_own_page() -> None:
    """Each folder has a README.md that the map in ARCHITECTURE.md links to."""
    links = LINK.findall((ROOT / "ARCHITECTURE.md").read_text())

    assert [name for name in FOLDERS[:-1] if f"{name}/README.md" not in links] == []
