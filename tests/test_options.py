"""Options are taken only as they are written: no parser takes an abbreviation for the option that it begins."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("lb", "ingest", "storage", "processors", "bench", "deploy")


def parsers() -> list[tuple[str, ast.Call]]:
    """Every call that makes a parser or the parser of a subcommand, with its place."""
    return [
        (f"{path.relative_to(ROOT)}:{call.lineno}", call)
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in {"ArgumentParser", "add_parser"}
    ]


def test_no_parser_takes_abbreviations() -> None:
    """argparse takes them unless it is told not to, each subcommand by itself."""
    found = parsers()
    assert len(found) > 15
    loose = [
        place
        for place, call in found
        if not any(one.arg == "allow_abbrev" and ast.unparse(one.value) == "False" for one in call.keywords)
    ]
    assert loose == []


@pytest.mark.parametrize(
    "words",
    [
        ("deploy", "up", "--node", "3"),
        ("deploy", "token", "--use", "mia"),
        ("bench", "replay", "t.jsonl.gz", "--target", "http://127.0.0.1:1", "--rep", "r.json"),
        ("processors", "autoscale", "--workers", "3"),
        ("processors", "dead", "requeue", "--al"),
        ("lb", "--listen", "127.0.0.1:0", "--pol", "ring"),
        ("ingest", "--list", "127.0.0.1:0"),
    ],
)
def test_an_abbreviated_option_is_refused(words: tuple[str, ...]) -> None:
    """Exit code 2, and the text repeats the option: `--node 3` was once taken for `--nodes 3`."""
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )

    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].count("--")
    assert any(text in done.stderr for text in ("unrecognized arguments", "required"))
