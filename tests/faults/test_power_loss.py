"""Power loss: a pair is on disk before its answer is sent, as the system calls of a real node show.

SIGKILL cannot test this, because the page cache outlives a process. strace(1) can: the node syncs the bytes, renames
the file to its name, syncs the folder, and only then writes 201 (or the 200 of a repetition).
"""

import json
import random
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from deploy.config import DEVELOPMENT_SECRET, Environment
from deploy.tokens import token
from storage import keys
from tests.faults.phones import BOUNDARY, Camera

ROOT = Path(__file__).resolve().parents[2]
START_S = 30.0
CALLS = "fsync,fdatasync,link,linkat,rename,renameat,renameat2,write,writev,sendto,sendmsg"
SENDING = re.compile(r"(write|writev|sendto|sendmsg)\(")


def without_strace(reason: str) -> None:
    """Skip the test where strace is missing; fail it in CI."""
    (pytest.fail if Environment.current().get("CI") == "true" else pytest.skip)(reason)


@contextmanager
def traced_node(folder: Path, port: int, redis_url: str) -> Iterator[Path]:
    """Run a node on the file store under strace; yields the trace file, which is complete after the block."""
    if shutil.which("strace") is None:
        without_strace("no strace here: apt-get install strace")
    calls = folder / "calls"
    command = ["strace", "-f", "-y", "-s", "64", "-e", f"trace={CALLS}", "-o", str(calls)]
    command += [sys.executable, "-m", "ingest", "--listen", f"127.0.0.1:{port}"]
    environment = {
        **Environment.current(),
        "SNAPSURGE_STORE_URL": (folder / "store").as_uri(),
        "SNAPSURGE_REDIS_URL": redis_url,
        "SNAPSURGE_AUTH_SECRET": DEVELOPMENT_SECRET,
        "SNAPSURGE_INGEST_ANNOUNCE_S": "0",
    }
    with (folder / "node.log").open("w") as log:
        node = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_S
        while True:
            with suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1)
                break
            said = (folder / "node.log").read_text()
            if "ptrace" in said:
                without_strace("strace may not trace here: ptrace is forbidden")
            assert node.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.05)
        yield calls
    finally:
        for child in psutil.Process(node.pid).children():  # strace ignores signals while it writes a file
            child.terminate()
        node.wait(START_S)


def call(url: str, user: str, body: bytes, kind: str) -> tuple[int, dict[str, str]]:
    """Send a POST; returns its status and JSON."""
    scope = "ops" if kind == "application/json" else "upload"
    bearer = token(DEVELOPMENT_SECRET, user, "ops" if scope == "ops" else "upload", now=time.time(), ttl_s=600)
    headers = {"Authorization": f"Bearer {bearer}", "Content-Type": kind}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30) as answer:
        return answer.status, json.loads(answer.read())


def events(lines: list[str]) -> Iterator[str]:
    """The calls in order: an answer at the start of its write, every other call at its return."""
    begun: dict[str, str] = {}
    for line in lines:
        pid, _, said = line.partition(" ")
        said = said.strip()
        if said.endswith("<unfinished ...>"):
            begun[pid] = said.removesuffix("<unfinished ...>")
            if SENDING.match(said):
                yield said
        elif resumed := re.match(r"<\.\.\. \w+ resumed>(.*)", said):
            head = begun.pop(pid, "")
            if not SENDING.match(head):
                yield head + resumed[1]
        else:
            yield said


def test_an_answer_leaves_after_the_disk_has_the_pair_and_its_name(
    tmp_path: Path, free_port: int, redis_url: str
) -> None:
    """The calls of one upload and of its repetition are in the required order."""
    url, kind = f"http://127.0.0.1:{free_port}/v1/moments", f"multipart/form-data; boundary={BOUNDARY}"
    body = Camera().pair(random.Random(1)).body
    with traced_node(tmp_path, free_port, redis_url) as calls:
        _, moment = call(url, "ops", b'{"region":"eu"}', "application/json")
        first, post = call(f"{url}/{moment['id']}/posts", "mia", body, kind)
        again, _ = call(f"{url}/{moment['id']}/posts", "mia", body, kind)
    assert (first, again) == (201, 200)

    key = tmp_path / "store" / keys.intake(moment["id"], post["id"])
    incoming = re.escape(str(tmp_path / "store" / ".incoming"))
    name, folder = re.escape(str(key)), re.escape(str(key.parent))
    steps = [
        rf"fsync\(\d+<{incoming}/[\w.]+>\) *= 0",
        rf"link\w*\(.*{incoming}/[\w.]+.*{name}.*\) *= 0",
        rf"fsync\(\d+<{folder}>\) *= 0",
        r"(write|writev|sendto|sendmsg)\(.*HTTP/1\.1 201 ",
        rf"fsync\(\d+<{incoming}/[\w.]+>\) *= 0",
        r"link\w*\(.*EEXIST",
        rf"fsync\(\d+<{folder}>\) *= 0",
        r"(write|writev|sendto|sendmsg)\(.*HTTP/1\.1 200 .*",
    ]
    # From the moment's own answer on, which is a 201 too; nothing is answered before its step.
    told = iter([each for each in events(calls.read_text().splitlines()) if "/readyz" not in each])
    assert any("HTTP/1.1 201 " in each for each in told)
    for step in steps:
        seen = next((each for each in told if re.search(step, each) or "HTTP/1.1 2" in each), "the end")
        assert re.search(step, seen), f"{seen} before {step}"
