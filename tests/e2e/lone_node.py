"""One real node process with chosen settings, its memory and CPU, and honest or hostile phones that connect to it.

Phones are coroutines on raw sockets. An honest phone retries as the reference client does, with the header that a
balancer adds for a request with a ticket. Others announce bytes that they do not send, or do not read their answers.
"""

import asyncio
import io
import os
import random
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import msgspec
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
SECRET = "a-secret-for-tests-of-32-characters"
TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE_S = 60
MIB = 1 << 20


def token(user: str, scope: str = "upload") -> str:
    """A token of the node under test."""
    return jwt.encode({"sub": user, "scope": scope}, SECRET, "HS256")


def pair(size: int) -> bytes:
    """A valid pair of about `size` bytes in total, with boundary `x`; its photos have extra bytes after their end."""
    out = io.BytesIO()
    Image.effect_noise((96, 128), 60).convert("RGB").save(out, "JPEG")
    photo = out.getvalue()
    photo += random.Random(1).randbytes(size // 2 - len(photo) - 2) + b"\xff\xd9"
    head = '--x\r\nContent-Disposition: form-data; name="{}"\r\n\r\n'
    return b"".join(head.format(side).encode() + photo + b"\r\n" for side in ("front", "back")) + b"--x--\r\n"


class LoneNode:
    """A running node, its resource use and clients for it."""

    def __init__(self, port: int, process: subprocess.Popen[bytes], store: Path, log: Path) -> None:
        self.port = port
        self.process = process
        self.store = store
        self.log = log

    def resident(self) -> int:
        """The resident memory of the node, in bytes."""
        status = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii")
        return int(status.split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def cpu_s(self) -> float:
        """The CPU seconds that the node has used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def get(self, path: str, bearer: str = "") -> bytes:
        """The body of the answer to a GET; OSError when its status is an error."""
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return bytes(answer.read())

    def moment(self) -> str:
        """Open a moment; returns its id. It fired a second ago: when a request's bytes arrived is known to 4 ms."""
        headers = {"Authorization": f"Bearer {token('ops', 'ops')}"}
        url = f"http://127.0.0.1:{self.port}/v1/moments"
        fired = datetime.now(UTC) - timedelta(seconds=1)
        request = urllib.request.Request(
            url, data=msgspec.json.encode({"region": "eu", "fires_at": fired}), headers=headers
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return str(msgspec.json.decode(answer.read())["id"])

    def upload_head(self, moment: str, user: str, length: int, *, retry: bool = False) -> bytes:
        """The request head of an upload, as a balancer forwards it."""
        mark = "Snapsurge-Retry: 1\r\n" if retry else ""
        return (
            f"POST /v1/moments/{moment}/posts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token(user)}\r\n"
            f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {length}\r\n{mark}\r\n"
        ).encode()

    async def answer(self, reader: asyncio.StreamReader) -> tuple[int, float]:
        """Read one whole answer; returns its status and its Retry-After in seconds."""
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0))
        return int(head.split()[1]), float(head.partition(b"retry-after: ")[2].partition(b"\r\n")[0] or 1)

    async def phone(self, moment: str, user: str, body: bytes, *, send_s: float, until: float) -> int:
        """Upload in about `send_s` and retry after each 503 until `until`; returns the last status, or 0."""
        status, retry, pieces = 0, False, 20
        while asyncio.get_running_loop().time() < until:
            with suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                told = asyncio.get_running_loop().create_task(self.answer(reader))
                try:
                    writer.write(self.upload_head(moment, user, len(body), retry=retry))
                    step = -(-len(body) // pieces)
                    for at in range(0, len(body), step):
                        if told.done():
                            break
                        writer.write(body[at : at + step])
                        await writer.drain()
                        await asyncio.sleep(send_s / pieces)
                    status, wait_s = await told
                finally:
                    told.cancel()
                    writer.close()
                if status != 503:
                    return status
                await asyncio.sleep(wait_s)
            retry = True
        return status

    async def trickle(self, moment: str, user: str, *, length: int, rate: float) -> None:
        """Announce `length` bytes, send at `rate`, retry when told to; repeats until cancelled."""
        retry = False
        while True:
            with suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                told = asyncio.get_running_loop().create_task(self.answer(reader))
                try:
                    opening = b'--x\r\nContent-Disposition: form-data; name="front"\r\n\r\n\xff\xd8\xff'
                    writer.write(self.upload_head(moment, user, length, retry=retry) + opening)
                    while not told.done():
                        await asyncio.wait([told], timeout=1)
                        writer.write(bytes(int(rate)))
                    _, wait_s = await told
                finally:
                    told.cancel()
                    writer.transport.abort()
                await asyncio.sleep(wait_s)
            retry = True


@contextmanager
def lone_node(folder: Path, redis_url: str, port: int, **settings: object) -> Iterator[LoneNode]:
    """Run a node until the block ends; settings are named without SNAPSURGE_INGEST_."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SNAPSURGE_")}  # noqa: TID251
    environment = clean | {
        "SNAPSURGE_AUTH_SECRET": SECRET,
        "SNAPSURGE_STORE_URL": f"file://{folder}/store",
        "SNAPSURGE_REDIS_URL": redis_url,
        "SNAPSURGE_INGEST_ANNOUNCE_S": "0",
        **{f"SNAPSURGE_INGEST_{name.upper()}": str(value) for name, value in settings.items()},
    }
    command = [sys.executable, "-m", "ingest", "--listen", f"127.0.0.1:{port}"]
    log = folder / f"node-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=output)
    made = LoneNode(port, process, folder / "store", log)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with suppress(OSError, urllib.error.URLError):
                made.get("/readyz")
                break
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield made
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
