"""The image and compose.yaml in a real engine of Debian's version: built, started, a burst, nothing lost."""

import gzip
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.replay import TRACE
from tests.image.engine import PATIENCE_S, Engine, engine, lacking

pytestmark = [pytest.mark.long, pytest.mark.timeout(5400)]
COMPOSE = ("docker-compose", "-p", "snapsurge", "-f", "deploy/compose.yaml")
SECRETS = {
    "SNAPSURGE_AUTH_SECRET": "an-auth-secret-of-32-characters-for-tests",
    "SNAPSURGE_LB_RING_SEED": "a-ring-seed",
    "SNAPSURGE_LB_TICKET_SECRET": "a-ticket-secret-for-tests",
    "SNAPSURGE_STAMP_SECRET": "a-stamp-secret-for-tests",
    "MINIO_ROOT_PASSWORD": "a-minio-password",
}
ARRIVALS = 300
# Of the packages alone, without interpreter and libraries of the system; 384 MiB with the tools of development.
VENV_MIB_MAX = 240


@pytest.fixture(scope="module", name="built")
def built_images() -> Iterator[Engine]:
    """An engine with both images, built as the Dockerfile says."""
    why = lacking()
    if why:
        pytest.skip(why)
    folder = Path(tempfile.mkdtemp(prefix="snapimage-"))  # short: the path of a socket has 108 bytes
    try:
        with engine(folder) as found:
            found.make_bases()
            for target, name in (("snapsurge", "snapsurge"), ("minio", "snapsurge-minio")):
                found.inside("docker", "build", "-f", "deploy/Dockerfile", "--target", target, "-t", name, ".")
            yield found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("package", ["lb", "ingest", "processors"])
def test_the_image_runs_each_program(built: Engine, package: str) -> None:
    """With a read-only file system and as nobody special."""
    options = ("--rm", "--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges", "--network", "none")
    said = built.inside("docker", "run", *options, "snapsurge", "python", "-m", package, "--help")
    assert f"usage: python -m {package}" in said
    assert built.inside("docker", "run", *options, "snapsurge", "id", "-u") == "10001\n"


def test_the_image_has_no_tools_of_development(built: Engine) -> None:
    """No installer, no test of a library, nothing of ours but what serves; and the size that follows."""
    look = "du -sm /venv | cut -f1; find /venv -name tests -type d | wc -l; ls /app; ls /venv/bin"
    size, tests, *files = built.inside("docker", "run", "--rm", "snapsurge", "sh", "-c", look).split()

    print(f"/venv has {size} MiB")
    assert int(size) <= VENV_MIB_MAX
    assert int(tests) == 0
    assert {"pytest", "ruff", "pip", "pip3"} & {*files} == set()
    assert {"ingest", "lb", "processors", "storage"} <= {*files}
    assert not {"bench", "deploy", "tests"} & {*files}


def until_healthy(built: Engine) -> None:
    """Until the health check of each service has passed."""
    services = {"lb-1", "lb-2", "minio", "node-a", "node-b", "node-c", "redis", "workers"}
    deadline = time.monotonic() + PATIENCE_S
    while True:
        listed = built.inside("docker", "ps", "--format", '{{.Label "com.docker.compose.service"}} {{.Status}}')
        healthy = {line.split()[0] for line in listed.splitlines() if "(healthy)" in line}
        if healthy == services:
            return
        assert time.monotonic() < deadline, f"not healthy: {services - healthy}\n{listed}"
        time.sleep(2)


def test_compose_starts_and_takes_a_burst(built: Engine, tmp_path: Path) -> None:
    """All healthy in the end, both balancers take pairs, and nothing is lost, half, doubled or wrongly late."""
    try:
        built.inside(*COMPOSE, "up", "-d", "--no-build", **SECRETS)
        until_healthy(built)
        report = tmp_path / "report.json"
        trace = tmp_path / "trace.jsonl.gz"
        trace.write_bytes(gzip.compress(b"".join(gzip.decompress(TRACE.read_bytes()).splitlines(True)[: 1 + ARRIVALS])))
        targets = ("--target", "http://127.0.0.1:8080", "--target", "http://127.0.0.1:8081")
        auth = {"SNAPSURGE_AUTH_SECRET": SECRETS["SNAPSURGE_AUTH_SECRET"]}
        # A sender that lagged makes a run void, which is no fault of the image: the report says what was kept.
        replay = f"{sys.executable} -m bench replay {trace} {' '.join(targets)} --report {report} || test -s {report}"
        print(built.inside("sh", "-c", replay, **auth))
        found = json.loads(report.read_text())
        assert found["offered"] == ARRIVALS
        assert [found[name] for name in ("lost", "half", "doubled", "wrongly_late")] == [0, 0, 0, 0]
        assert found["accepted"] == found["ready"] + found["rejected"] > ARRIVALS * 0.9
    finally:
        print(built.inside(*COMPOSE, "logs", "--tail", "5", **SECRETS))
        built.inside(*COMPOSE, "down", "-v", **SECRETS)
