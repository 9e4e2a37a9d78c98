"""What broken clients send, through a balancer and a node: a clear problem each time, and nothing left behind."""

import asyncio
import io
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import jwt
import msgspec
import pytest
from PIL import Image

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
SECRET = "a-secret-for-tests-of-32-characters"
READY_S = 30


def token(user: str, scope: str = "upload") -> str:
    """A token of the stack under test."""
    return jwt.encode({"sub": user, "scope": scope}, SECRET, "HS256")


def photo() -> bytes:
    """A small good photo."""
    out = io.BytesIO()
    Image.effect_noise((96, 128), 60).convert("RGB").save(out, "JPEG")
    return out.getvalue()


def form(**parts: bytes) -> bytes:
    """A multipart body with boundary x."""
    head = '--x\r\nContent-Disposition: form-data; name="{}"\r\n\r\n'
    return b"".join(head.format(name).encode() + data + b"\r\n" for name, data in parts.items()) + b"--x--\r\n"


PAIR = form(front=photo(), back=photo())
LONG = form(front=b"\xff\xd8\xff" + bytes(17 << 20))


class Stack:
    """One balancer before one node, over a folder."""

    def __init__(self, port: int, root: Path) -> None:
        self.port = port
        self.root = root

    def stored(self) -> list[Path]:
        """Every intake object and every file half written; the store's locks stay, and are empty."""
        half = [path for path in self.root.glob(".incoming/*") if not path.name.startswith(("lock-", "writer-"))]
        return [*self.root.glob("*/intake/*/*"), *half]

    def moment(self) -> str:
        """A new moment's id."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/v1/moments",
            data=b'{"region":"eu"}',
            headers={"Authorization": f"Bearer {token('ops', 'ops')}"},
        )
        with urllib.request.urlopen(request, timeout=READY_S) as answer:
            return str(msgspec.json.decode(answer.read())["id"])

    async def send(self, head: str, body: bytes = b"", *, hang_up: bool = False) -> tuple[int, dict[str, object]]:
        """Status and problem (or post) of one raw request; (0, {}) when the connection ends without an answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        if hang_up:
            await writer.drain()
            writer.close()
            await writer.wait_closed()
            return 0, {}
        answer = b""
        while b"\r\n\r\n" not in answer or not answer.endswith(b"}"):
            piece = await reader.read(65536)
            if not piece:
                break
            answer += piece
        writer.close()
        _, _, text = answer.partition(b"\r\n\r\n")
        return int(answer.split()[1]) if answer else 0, msgspec.json.decode(text) if text else {}


def answers(url: str) -> bool:
    """Whether it is ready."""
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


@pytest.fixture(scope="module")
def stack(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The processes, ended by their pids."""
    root = tmp_path_factory.mktemp("stack")
    ports = [19_500 + os.getpid() % 400 * 3 + number for number in range(3)]
    node, front, admin = (f"127.0.0.1:{port}" for port in ports)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SNAPSURGE_")}  # noqa: TID251
    environment = clean | {
        "SNAPSURGE_AUTH_SECRET": SECRET,
        "SNAPSURGE_STORE_URL": f"file://{root}/store",
        "SNAPSURGE_INGEST_ANNOUNCE_S": "0",
    }
    commands = [
        (["ingest", "--listen", node], {"SNAPSURGE_REDIS_URL": redis_url}),
        (["lb", "--listen", front, "--admin", admin, "--node", f"a={node}"], {}),
    ]
    processes = []
    try:
        for words, more in commands:
            command = [sys.executable, "-m", *words]
            processes.append(subprocess.Popen(command, cwd=ROOT, env=environment | more, stderr=subprocess.DEVNULL))
            while not answers(f"http://{node}/readyz" if words[0] == "ingest" else f"http://{admin}/readyz"):
                assert processes[-1].poll() is None, f"{words[0]} ended at its start"
        yield Stack(ports[1], root / "store")
    finally:
        for process in processes:
            process.send_signal(signal.SIGKILL)
            process.wait()


def upload(moment: str, user: str, fields: str) -> str:
    """An upload's head."""
    return (
        f"POST /v1/moments/{moment}/posts HTTP/1.1\nHost: x\nAuthorization: Bearer {token(user)}\n"
        f"Content-Type: multipart/form-data; boundary=x\n{fields}"
    )


BAD = {
    "no token": ("POST /v1/moments/{m}/posts HTTP/1.1\nHost: x\nContent-Length: {n}", PAIR, 401, "unauthenticated"),
    "unknown moment": (upload("eu-20260101-none", "u1", "Content-Length: {n}"), PAIR, 404, "no-such-moment"),
    "17 MiB": (
        upload("{m}", "u2", "Content-Length: {n}"),
        form(front=b"\xff\xd8\xff" + bytes(17 << 20)),
        413,
        "too-large",
    ),
    "longer than it says": (upload("{m}", "u3", f"Content-Length: {len(PAIR) - 9}"), PAIR, 400, "bad-multipart"),
    "both framings": (upload("{m}", "u4", "Content-Length: 5\nTransfer-Encoding: chunked"), b"", 400, "bad-request"),
    "bad chunk": (upload("{m}", "u5", "Transfer-Encoding: chunked"), b"zz\r\n", 400, "bad-request"),
    "length with a sign": (upload("{m}", "u6", "Content-Length: +5"), b"", 400, "bad-request"),
    "not HTTP": ("hello", b"", 400, "bad-request"),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_request_gets_its_problem_and_leaves_nothing(stack: Stack, case: str) -> None:
    """Status and code of the contract, from whichever tier found it, and no byte in the store."""
    head, body, status, code = BAD[case]
    found, problem = await stack.send(head.replace("{m}", stack.moment()).replace("{n}", str(len(body))), body)

    assert (found, problem["code"]) == (status, code)
    assert problem["detail"]
    assert problem["request_id"]
    assert stack.stored() == []


async def test_a_body_cut_off_half_way_leaves_nothing(stack: Stack) -> None:
    """The phone is gone: no answer to give, nothing stored, and the next upload is served."""
    moment = stack.moment()
    for number in range(5):
        head = upload(moment, f"cut{number}", f"Content-Length: {len(PAIR)}")
        await stack.send(head, PAIR[: len(PAIR) * (number + 1) // 6], hang_up=True)
    status, _ = await stack.send(upload(moment, "good", f"Content-Length: {len(PAIR)}"), PAIR)

    assert status == 201
    (only,) = stack.stored()
    only.unlink()


async def test_a_client_cannot_choose_when_it_was_received(stack: Stack) -> None:
    """`Snapsurge-Received-At` from a client is dropped by the balancer, whose own clock counts."""
    fields = f"Content-Length: {len(PAIR)}\nSnapsurge-Received-At: 1000000000000"
    status, post = await stack.send(upload(stack.moment(), "early", fields), PAIR)

    assert status == 201
    assert str(post["received_at"]) > "2026"
    (only,) = stack.stored()
    only.unlink()


async def test_a_second_upload_while_the_first_is_in_flight_makes_no_second_post(stack: Stack) -> None:
    """Four at once of one pair: one is created, the others are replays; other photos meet 409."""
    moment = stack.moment()
    head = upload(moment, "twice", f"Content-Length: {len(PAIR)}")
    answers = await asyncio.gather(*(stack.send(head, PAIR) for _ in range(4)))
    other = form(front=photo(), back=photo())
    status, problem = await stack.send(upload(moment, "twice", f"Content-Length: {len(other)}"), other)

    assert sorted(status for status, _ in answers) == [200] * 3 + [201]
    assert len({post["id"] for _, post in answers}) == 1
    assert (status, problem["code"]) == (409, "already-posted")
    (only,) = stack.stored()
    only.unlink()
