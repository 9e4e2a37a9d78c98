"""The program: its help, its errors, its drain, as a real process."""

import os
import resource
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from deploy.config import DEVELOPMENT_SECRET

ROOT = Path(__file__).resolve().parents[3]


def environment(**settings: str) -> dict[str, str]:
    """This environment with these settings and no others of ours."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SNAPSURGE_")}  # noqa: TID251
    return clean | settings


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """`python -m ingest`, to its end."""
    command = [sys.executable, "-m", "ingest", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment(**settings), capture_output=True, text=True, timeout=60, check=False
    )


def test_help_has_every_setting() -> None:
    """Options and the settings table, with defaults."""
    said = run("--help").stdout

    for word in (
        "--listen",
        "--id",
        "SNAPSURGE_AUTH_SECRET",
        "SNAPSURGE_STORE_URL",
        "SNAPSURGE_INGEST_DRAIN_S",
        "30.0",
    ):
        assert word in said


@pytest.mark.parametrize(
    ("arguments", "settings", "status", "word"),
    [
        ((), {}, 2, "SNAPSURGE_AUTH_SECRET"),
        ((), {"SNAPSURGE_INGEST_X": "1"}, 2, "unknown setting SNAPSURGE_INGEST_X"),
        (("--listen", "nowhere"), {"SNAPSURGE_AUTH_SECRET": "x" * 32}, 2, "--listen"),
        (("--listen", "0.0.0.0:1"), {"SNAPSURGE_AUTH_SECRET": DEVELOPMENT_SECRET}, 2, "of your own"),
        ((), {"SNAPSURGE_AUTH_SECRET": "x" * 32, "SNAPSURGE_STORE_URL": "ftp://x"}, 2, "not a store address"),
        ((), {"SNAPSURGE_AUTH_SECRET": "x" * 32, "SNAPSURGE_STORE_URL": "file:///dev/null/x"}, 1, "/dev/null"),
        (
            (),
            {"SNAPSURGE_AUTH_SECRET": "x" * 32, "SNAPSURGE_REDIS_URL": "redis+sentinel://h:1"},
            2,
            "_REDIS_URL: not the",
        ),
    ],
)
def test_a_bad_start_is_one_line(arguments: tuple[str, ...], settings: dict[str, str], status: int, word: str) -> None:
    """Status 2 for settings, 1 for what is not there; no traceback."""
    done = run(*arguments, **settings)

    assert done.returncode == status
    assert word in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_sigterm_drains_and_exits_0(tmp_path: Path, redis_url: str, free_port: int) -> None:
    """It serves, with all file descriptors that it may have, and on SIGTERM it leaves."""
    settings = {
        "SNAPSURGE_AUTH_SECRET": "x" * 32,
        "SNAPSURGE_STORE_URL": f"file://{tmp_path}/store",
        "SNAPSURGE_REDIS_URL": redis_url,
        "SNAPSURGE_INGEST_ANNOUNCE_S": "0.1",
    }
    few = ["sh", "-c", 'ulimit -Sn 256; exec "$@"', "sh"]
    command = [*few, sys.executable, "-m", "ingest", "--listen", f"127.0.0.1:{free_port}"]
    with subprocess.Popen(command, cwd=ROOT, env=environment(**settings), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "serving on" in line:
                break
        soft, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        assert soft == hard > 256
        with urllib.request.urlopen(f"http://127.0.0.1:{free_port}/readyz", timeout=10) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        assert "drained" in process.stderr.read()
    assert process.returncode == 0
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{free_port}/readyz", timeout=10)


def test_a_node_that_balancers_forgot_starts_over(tmp_path: Path, redis_url: str, free_port: int) -> None:
    """Asked once and then no more: it registers anew, drains, and serves again as the same process."""
    settings = {
        "SNAPSURGE_AUTH_SECRET": "x" * 32,
        "SNAPSURGE_STORE_URL": f"file://{tmp_path}/store",
        "SNAPSURGE_REDIS_URL": redis_url,
        "SNAPSURGE_INGEST_ANNOUNCE_S": "0.1",
        "SNAPSURGE_INGEST_REGISTER_S": "1",
        "SNAPSURGE_INGEST_RESTART_S": "2",
    }
    command = [sys.executable, "-m", "ingest", "--listen", f"127.0.0.1:{free_port}"]
    opener = urllib.request.build_opener()
    opener.addheaders = [("User-Agent", "snapsurge-lb")]
    with subprocess.Popen(command, cwd=ROOT, env=environment(**settings), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said += [word for word in ("serving on", "registering again", "restarting", "drained") if word in line]
            if said == ["serving on"]:
                with opener.open(f"http://127.0.0.1:{free_port}/readyz", timeout=10) as answer:
                    assert answer.status == 200
            if said.count("serving on") == 2:
                break
        assert said == ["serving on", "registering again", "restarting", "drained", "serving on"]
        process.send_signal(signal.SIGTERM)
        assert "drained" in process.stderr.read()
    assert process.returncode == 0
