"""Ctrl-C ends a command without a traceback, also during its imports; so does a pipe that nobody reads."""

import os
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
        ("processors", "redis", ("dead", "list")),
        ("ingest", "aiohttp", ()),
        ("lb", "msgspec", ("--node", "a=127.0.0.1:1")),
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


@pytest.mark.parametrize(
    "words",
    [
        ("deploy", "token", "--user", "mia"),
        *((path.parent.name, "--help") for path in sorted(ROOT.glob("*/__main__.py"))),
    ],
    ids=" ".join,
)
def test_output_that_nobody_reads_is_no_error(words: tuple[str, ...]) -> None:
    """`… | true`: nothing is written, neither when the pipe is written at once nor when it is at the end."""
    assert unread(words, unbuffered=False) == b""
    assert unread(words, unbuffered=True) == b""


def test_a_list_that_nobody_reads_is_no_error(redis_url: str) -> None:
    """`processors dead list | head`."""
    settings = {"SNAPSURGE_REDIS_URL": redis_url}
    assert unread(("processors", "dead", "list"), unbuffered=False, **settings) == b""
    assert unread(("processors", "dead", "list"), unbuffered=True, **settings) == b""


def unread(words: tuple[str, ...], *, unbuffered: bool, **settings: str) -> bytes:
    """What the command writes to stderr when stdout is a pipe without a reader."""
    reader, writer = os.pipe()
    os.close(reader)
    changes = [f"{name}={value}" for name, value in settings.items()]
    try:
        done = subprocess.run(
            ("env", f"PYTHONUNBUFFERED={'1' if unbuffered else ''}", *changes, sys.executable, "-m", *words),
            cwd=ROOT,
            stdout=writer,
            stderr=subprocess.PIPE,
            timeout=120,
            check=False,
        )
    finally:
        os.close(writer)
    return done.stderr
