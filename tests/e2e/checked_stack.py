"""A real stack that `python -m deploy check` is run on, and what tests do to it."""

import asyncio
import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

from redis import Redis

from deploy.config import DEVELOPMENT_SECRET, Environment

ROOT = Path(__file__).resolve().parents[2]
SECRET = "a-secret-of-at-least-thirty-two-bytes"
SEED = "a-ring-seed-of-this-stack"
WAIT_S = 300.0
# What may be found for a moment on a machine that is busy with other tests.
BUSY = {"nodes-healthy", "workers"}
PASSED = {"trials": [{"fault": "no fault", "result": "passed"}]}


def until(holds: Callable[[], Any]) -> Any:
    """The first true answer."""
    deadline = time.monotonic() + WAIT_S
    while not (found := holds()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


class Checked:
    """A stack and the checks of it."""

    def __init__(self, state: Path, clocks: Path, environment: dict[str, str]) -> None:
        self.state, self.clocks, self.environment = state, clocks, environment

    def record(self) -> dict[str, Any]:
        """`stack.json` as it is now."""
        found: dict[str, Any] = json.loads((self.state / "stack.json").read_text())
        return found

    @property
    def redis(self) -> "Redis":
        """A client of its Redis."""
        return Redis.from_url(self.record()["redis"])

    def check(self, *words: str, **environment: str) -> tuple[int, dict[str, dict[str, Any]]]:
        """Exit code and checks by name."""
        place = words if "--url" in words else ("--stack", str(self.state / "stack.json"), *words)
        done = subprocess.run(
            [sys.executable, "-m", "deploy", "check", "--json", "--timeout", "100", *place],
            cwd=ROOT,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.count("\n") == 1, done.stderr
        found = json.loads(done.stdout)
        assert list(found) == ["go", "checks"]
        assert all(list(one) == ["name", "ok", "found", "wanted", "remedy"] for one in found["checks"])
        assert found["go"] == (done.returncode == 0)
        for hidden in (SECRET, SEED, DEVELOPMENT_SECRET):
            assert hidden not in done.stdout + done.stderr
        return done.returncode, {one["name"]: one for one in found["checks"]}

    def no_go(self, *words: str, because: dict[str, str], **environment: str) -> None:
        """A check that says no-go for these causes, each with a text, and for nothing else that it could tell."""
        code, found = self.check(*words, **environment)
        bad = {name: one["found"] for name, one in found.items() if one["ok"] is False}
        assert bad.keys() >= because.keys(), found
        assert all(text in bad[name] for name, text in because.items()), bad
        assert code == 1
        assert all(found[name]["remedy"] for name in bad)
        assert bad.keys() <= because.keys() | BUSY, bad


@contextmanager
def checked_stack(folder: Path) -> Iterator[Checked]:
    """Two balancers, two nodes, a worker, with secrets of their own, nodes' clocks that can be moved, a rehearsal."""
    state, clocks = folder / "state", folder / "clocks"
    clocks.mkdir()
    state.mkdir()
    for name in ("a", "b", "other"):
        (clocks / name).write_bytes(struct.pack("d", 0.0))
    (state / "rehearsal.json").write_text(json.dumps(PASSED))
    environment = {
        **Environment.current(),
        "SNAPSURGE_AUTH_SECRET": SECRET,
        "SNAPSURGE_LB_RING_SEED": SEED,
        "SNAPSURGE_LB_CONNECTIONS_MAX": "300",
        "SNAPSURGE_INGEST_IN_FLIGHT_REQUESTS_MAX": "100",
        "SNAPSURGE_DEPLOY_START_S": str(WAIT_S),
        "PYTHONPATH": str(ROOT / "tests" / "faults" / "clocks"),
        "FAULTS_CLOCKS": str(clocks),
    }
    small = ("--nodes", "2", "--balancers", "2", "--workers-min", "1", "--workers-max", "1", "--port", "0")
    command = [sys.executable, "-m", "deploy", "up", "--json", "--state", str(state), *small]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline()
            made = Checked(state, clocks, environment)
            until(lambda: made.redis.keys("snapsurge:worker:*"))
            yield made
        finally:
            process.terminate()
            try:
                process.wait(60)
            finally:
                process.kill()


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process that does not answer."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):  # the pool of a worker may have replaced it
            os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def beside(stack: Checked, says: str, *command: str, files: int = 4096, **settings: str) -> AsyncIterator[None]:
    """A further program of the stack, with other settings, that has said that it serves."""
    record = stack.record()
    settings = {"SNAPSURGE_REDIS_URL": record["redis"], "SNAPSURGE_STORE_URL": record["store"], **settings}
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", sys.executable, "-m", *command),
        cwd=ROOT,
        env={**stack.environment, **settings},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        lines = [b""]
        while says.encode() not in lines[-1]:
            lines.append(await process.stderr.readline())
            assert lines[-1], b"".join(lines)
        yield
    finally:
        process.terminate()  # so that a node leaves the members
        await process.wait()


def doors(stack: Checked) -> list[str]:
    """The admin addresses of its balancers."""
    return [one["admin"] for one in stack.record()["balancers"]]


def places(stack: Checked) -> dict[str, str]:
    """The settings of store and Redis, as where the programs run."""
    return {"SNAPSURGE_REDIS_URL": stack.record()["redis"], "SNAPSURGE_STORE_URL": stack.record()["store"]}
