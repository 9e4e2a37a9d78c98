"""A stack of one Redis, node, balancer, worker and autoscaler as processes whose logs are kept; and a raw socket."""

import io
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import jwt
import msgspec
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[3]
SECRET = "a-secret-for-tests-of-32-characters"
PLACE = b"48.8584 N 2.2945 E"  # The location in a photo's metadata.
PATIENCE_S = 60


def token(user: str, scope: str = "upload") -> str:
    """A token of the stack under test."""
    return jwt.encode({"sub": user, "scope": scope}, SECRET, "HS256")


def photo(colour: str) -> bytes:
    """A photo with a location in its metadata."""
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = PLACE.decode()
    exif.get_ifd(0x8825)[29] = PLACE.decode()
    Image.new("RGB", (96, 128), colour).save(out, "JPEG", exif=exif, comment=PLACE)
    return out.getvalue()


class Stack:
    """The processes of the stack, and calls to them."""

    def __init__(self, folder: Path, redis_url: str, node: int, front: int, admin: int) -> None:
        self.folder = folder
        self.redis_url = redis_url
        self.node, self.front, self.admin = node, front, admin
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, words: list[str], environment: dict[str, str]) -> None:
        """Start one of our programs; its output goes to a file with its name."""
        with (self.folder / f"{name}.log").open("wb") as log:
            command = [sys.executable, "-m", *words]
            self.processes.append(
                subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
            )

    def logs(self) -> bytes:
        """The content of all logs: the programs' output, the access log, the trace."""
        return b"".join(path.read_bytes() for path in sorted(self.folder.glob("*.log")))

    def call(self, method: str, path: str, bearer: str = "", body: bytes | None = None, kind: str = "") -> bytes:
        """Send a request through the balancer and return the body; OSError when the status is an error."""
        headers = {"Authorization": f"Bearer {bearer}"} | ({"Content-Type": kind} if kind else {})
        url = f"http://127.0.0.1:{self.front}{path}"
        request = urllib.request.Request(url, method=method, data=body, headers=headers)
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return bytes(answer.read())

    def raw(self, port: int, data: bytes, *, ends: bool = False) -> bytes:
        """Send raw bytes and read until the peer closes; `ends`: shut down the sending side first."""
        answer = b""
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
            try:
                connection.sendall(data)
                if ends:
                    connection.shutdown(socket.SHUT_WR)
                while piece := connection.recv(1 << 16):
                    answer += piece
            except OSError:
                pass  # a reset is a valid answer too
        return answer

    def moment(self, more: bytes = b"") -> str:
        """Open a moment; returns its id."""
        made = self.call("POST", "/v1/moments", token("ops", "ops"), b'{"region":"eu"%s}' % more)
        return str(msgspec.json.decode(made)["id"])

    def upload(self, moment: str, user: str) -> str:
        """Upload a pair; returns the path of the user's post."""
        head = '--x\r\nContent-Disposition: form-data; name="{}"\r\n\r\n'
        parts = [head.format(side).encode() + photo(side) + b"\r\n" for side in ("teal", "navy")]
        body = b"".join(parts).replace(b'"teal"', b'"front"', 1).replace(b'"navy"', b'"back"', 1) + b"--x--\r\n"
        kind = "multipart/form-data; boundary=x"
        post = msgspec.json.decode(self.call("POST", f"/v1/moments/{moment}/posts", token(user), body, kind))
        return str(post["links"]["self"])

    def ready(self, path: str) -> dict[str, str]:
        """Wait until a post is rendered; returns its links."""
        while True:
            post = msgspec.json.decode(self.call("GET", path, token("anyone")))
            if post["state"] == "ready":
                return dict(post["links"])
            time.sleep(0.05)

    def decided(self) -> None:
        """Wait for a decision of the autoscaler; before the first decision, `/v1/scaling` answers 503."""
        while True:
            try:
                self.call("GET", "/v1/scaling", token("ops", "ops"))
            except urllib.error.HTTPError:
                time.sleep(0.05)
            else:
                return


def answers(port: int) -> bool:
    """Whether the process on this port answers that it is ready."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


@pytest.fixture(scope="package")
def stack(
    redis_server: Callable[[], AbstractContextManager[str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """Run the stack with every log enabled and the event loop in debug mode; processes are ended by their pids.

    It has a separate Redis: the stack runs for the whole session, and other tests flush the shared Redis.
    """
    with redis_server() as redis_url:
        yield from _running(redis_url, tmp_path_factory.mktemp("stack"))


def _running(redis_url: str, folder: Path) -> Iterator[Stack]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    made = Stack(folder, redis_url, *(one.getsockname()[1] for one in listeners))
    for one in listeners:
        one.close()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SNAPSURGE_")}  # noqa: TID251
    environment = clean | {
        "PYTHONASYNCIODEBUG": "1",
        "SNAPSURGE_AUTH_SECRET": SECRET,
        "SNAPSURGE_STORE_URL": f"file://{made.folder}/store",
        "SNAPSURGE_INGEST_ANNOUNCE_S": "0",
        "SNAPSURGE_INGEST_USER_UPLOADS_BURST": "1000000",
        "SNAPSURGE_LB_ACCESS_LOG": f"{made.folder}/access.log",
        "SNAPSURGE_LB_ACCESS_LINES_S_MAX": "1000000",
        "SNAPSURGE_LB_TRACE": f"{made.folder}/trace.log",
    }
    with_redis = environment | {"SNAPSURGE_REDIS_URL": redis_url}
    node, front, admin = (f"127.0.0.1:{port}" for port in (made.node, made.front, made.admin))
    try:
        made.start("node", ["ingest", "--listen", node], with_redis)
        made.start("balancer", ["lb", "--listen", front, "--admin", admin, "--node", f"a={node}"], environment)
        made.start("worker", ["processors"], with_redis)
        ladder = made.folder / "ladder.json"
        ladder.write_text(
            '{"ladder": [{"at_s": -60, "tier": "node", "count": 2}, {"at_s": -60, "tier": "lb", "count": 1}]}'
        )
        planned = with_redis | {"SNAPSURGE_PROCESSORS_LADDER_FILE": str(ladder)}
        made.start("autoscaler", ["processors", "autoscale", "--decide-only"], planned)
        while not (answers(made.node) and answers(made.admin)):
            assert [process.poll() for process in made.processes] == [None] * 4, made.logs().decode()
            time.sleep(0.05)
        yield made
    finally:
        for process in made.processes:
            process.send_signal(signal.SIGKILL)
            process.wait()
