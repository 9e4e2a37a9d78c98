"""`python -m deploy up` with the real programs: ready, working, repaired after every kill, and gone without a trace."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from deploy.config import DEVELOPMENT_SECRET
from deploy.servers import ServerMissing, minio_program
from deploy.tokens import token

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 60.0
SMALL = ("--nodes", "1", "--balancers", "1", "--workers-min", "1", "--workers-max", "1")


class Up:
    """A running `up --json`."""

    def __init__(self, process: "subprocess.Popen[str]", state: Path) -> None:
        assert process.stdout
        self.process, self.state = process, state
        self.line = process.stdout.readline()
        assert self.line, (state / "stderr").read_text()

    def record(self) -> dict[str, Any]:
        """`stack.json` as it is now."""
        found: dict[str, Any] = json.loads((self.state / "stack.json").read_text())
        return found

    def pids(self) -> set[int]:
        """The supervisor and every process under it."""
        return {self.process.pid, *(child.pid for child in psutil.Process(self.process.pid).children(recursive=True))}

    def stop(self, signum: int) -> int:
        """Signal the supervisor; its exit code."""
        self.process.send_signal(signum)
        return self.process.wait(WAIT_S)


@contextmanager
def up(state: Path, *words: str) -> Iterator[Up]:
    """A stack; one that the test leaves running is killed, and takes its children along."""
    state.mkdir()
    command = [sys.executable, "-m", "deploy", "up", "--json", "--state", str(state), *words]
    with (
        (state / "stderr").open("w") as errors,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            yield Up(process, state)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The whole stack as a user starts it, but on free ports."""
    with up(tmp_path_factory.mktemp("stack") / "state", "--port", "0", "--workers-min", "1") as running:
        yield running


def until(holds: Callable[[], Any], wait_s: float = WAIT_S) -> Any:
    """The first true answer; an error when there is none in time."""
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        if found := holds():
            return found
        time.sleep(0.05)
    raise TimeoutError(f"not within {wait_s} s")


def ended(process: psutil.Process) -> bool:
    """Whether this very process runs no more; a zombie does not."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def gone(pids: set[int]) -> bool:
    """None of them runs; a zombie that waits for somebody else's init does not count."""
    return not [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]


def call(url: str, user: str, scope: str, body: bytes | None = None, kind: str = "") -> tuple[int, Any]:
    """Status and JSON of a request, as curl would send it."""
    bearer = token(DEVELOPMENT_SECRET, user, "ops" if scope == "ops" else "upload", now=time.time(), ttl_s=600)
    request = urllib.request.Request(url, body, {"Authorization": f"Bearer {bearer}"})
    if kind:
        request.add_header("Content-Type", kind)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError as error:
        return 0, error


def upload(stack: Up, user: str, door: int = 0) -> dict[str, Any]:
    """Open a moment and post the sample pair; the post, once it is ready."""
    url = stack.record()["balancers"][door]["url"]
    opened = until(
        lambda: next(iter([call(f"{url}/v1/moments", "ops", "ops", b'{"region":"eu"}', "application/json")]))
    )
    assert opened[0] == 201, opened
    parts = [
        f'--x\r\nContent-Disposition: form-data; name="{name}"; filename="{name}.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n".encode()
        + (stack.state / f"{name}.jpg").read_bytes()
        for name in ("front", "back")
    ]
    body = b"\r\n".join([*parts, b"--x--\r\n"])
    posts = f"{url}/v1/moments/{opened[1]['id']}/posts"
    status, post = call(posts, user, "upload", body, "multipart/form-data; boundary=x")
    assert status == 201, post

    def ready() -> Any:
        status, found = call(f"{url}/v1/posts/{post['id']}", user, "upload")
        return found if status == 200 and found["state"] == "ready" else None

    found: dict[str, Any] = until(ready)
    return found


def test_one_line_says_where_everything_is(stack: Up) -> None:
    """The keys of the contract and no others, every process alive, the same in stack.json."""
    ready = json.loads(stack.line)

    assert list(ready) == ["balancers", "nodes", "redis", "store", "state"]
    assert [list(each) for each in ready["balancers"]] == [["url", "admin", "pid"]] * 2
    assert [(each["id"], list(each)) for each in ready["nodes"]] == [(name, ["id", "url", "pid"]) for name in "abc"]
    record = stack.record()
    assert {name: record[name] for name in ready} == ready
    assert all(psutil.pid_exists(each["pid"]) for each in (*ready["balancers"], *ready["nodes"], *record["workers"]))
    assert len(list((stack.state / "logs").iterdir())) == 9  # the balancers have access logs, too


def test_a_pair_becomes_ready(stack: Up) -> None:
    """Through the door to a node, the store, the queue, a worker, and back."""
    assert upload(stack, "mia")["late"] is False


def test_a_second_stack_on_the_same_state_or_port_is_refused(stack: Up, tmp_path: Path) -> None:
    """One line, exit 2, and the first one does not notice."""
    port = stack.record()["balancers"][0]["url"].rpartition(":")[2]
    for words in (["--state", str(stack.state), "--port", "0"], ["--state", str(tmp_path), "--port", port]):
        done = subprocess.run(
            [sys.executable, "-m", "deploy", "up", *words], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert stack.process.poll() is None


def who(record: dict[str, Any]) -> dict[str, int]:
    """One pid of each kind."""
    return {
        "balancer": record["balancers"][0]["pid"],
        "node": record["nodes"][0]["pid"],
        "autoscaler": record["autoscaler"]["pid"],
        "worker": record["workers"][0]["pid"] if record["workers"] else 0,
        "redis": record["servers"][0]["pid"],
    }


def test_whatever_is_killed_comes_back(stack: Up) -> None:
    """SIGKILL for one process of each kind: new pids, old addresses, a true record, and uploads work."""
    before = stack.record()
    for kind in who(before):
        old = who(until(lambda kind=kind: (found := stack.record()) and who(found)[kind] and found))[kind]
        os.kill(old, signal.SIGKILL)
        new = until(
            lambda kind=kind, old=old: (pid := who(stack.record())[kind]) != old and psutil.pid_exists(pid) and pid
        )
        assert new != old
    after = stack.record()
    for tier in ("balancers", "nodes"):
        assert [each["url"] for each in after[tier]] == [each["url"] for each in before[tier]]
    until(lambda: call(f"{after['balancers'][0]['admin']}/nodes", "anyone", "ops")[0] == 200)
    assert upload(stack, "zoe")["state"] == "ready"
    assert set(who(stack.record()).values()) <= stack.pids()


def test_two_stacks_do_not_meet_and_a_killed_one_leaves_nothing(stack: Up, tmp_path: Path) -> None:
    """Beside the first stack a second one starts, works, and is killed by SIGKILL: only the first remains."""
    with up(tmp_path / "state", "--port", "0", *SMALL) as other:
        mine, theirs = stack.pids(), other.pids()
        assert not mine & theirs
        assert upload(other, "ida")["state"] == "ready"
        # Processes, not their ids: beside other tests an id is soon somebody else's.
        left = [psutil.Process(pid) for pid in theirs if psutil.pid_exists(pid)]
        other.process.kill()
        other.process.wait()
        until(lambda: all(ended(one) for one in left))
    assert all(psutil.pid_exists(pid) for pid in mine)


def test_sigterm_drains_and_exits_zero(stack: Up) -> None:
    """The last word to the stack of this file: exit 0, nobody left, a record that lists nobody."""
    pids = stack.pids()
    assert len(pids) >= 1 + 1 + 3 + 1 + 1 + 2

    assert stack.stop(signal.SIGTERM) == 0

    assert gone(pids)
    record = stack.record()
    assert (record["balancers"], record["nodes"], record["workers"], record["autoscaler"]) == ([], [], [], None)


def test_a_pair_becomes_ready_in_minio(tmp_path: Path) -> None:
    """The same on a MinIO of its own; a second signal ends it at once."""
    try:
        minio_program()
    except ServerMissing as missing:
        pytest.skip(str(missing))
    with up(tmp_path / "state", "--port", "0", "--store", "minio", *SMALL) as running:
        assert json.loads(running.line)["store"].startswith("s3://snapsurge?endpoint=http://127.0.0.1:")
        assert upload(running, "ada")["state"] == "ready"
        pids = running.pids()
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert running.stop(signal.SIGTERM) == 1
        until(lambda: gone(pids))
