"""Ctrl-C ends a command without a traceback, also while its modules are still being imported."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Sends the process a SIGINT when it begins to import a module, then runs the package as `python -m` does.
INTERRUPTED = """
import os, runpy, signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == wanted:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

package, wanted, *sys.argv[1:] = sys.argv[1:]
sys.meta_path.insert(0, Interrupt())
runpy.run_module(package, run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    ("package", "module", "words"),
    [
        ("deploy", "msgspec", ("token", "--user", "mia")),
        ("deploy", "jwt", ("token", "--user", "mia")),
        ("bench", "aiohttp", ("synth", "--posters", "3", "/dev/null")),
        ("bench", "rich.table", ("replay", "t.jsonl.gz", "--target", "http://127.0.0.1:1")),
    ],
)
def test_an_interrupt_during_the_imports_is_no_traceback(package: str, module: str, words: tuple[str, ...]) -> None:
    """The process ends by the signal, and writes nothing."""
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, package, module, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")
