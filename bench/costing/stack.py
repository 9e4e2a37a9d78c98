"""The processes that are measured: Redis, a store, a node, balancers with and without TLS; a worker when asked for.

They are started as an operator starts them, one of each, so that every process' CPU is that of its tier.
"""

import asyncio
import contextlib
import re
import ssl
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from ..client import token
from ..peers import backing, started
from .interval import measured

SECRET: Final = "a-secret-of-the-bench-32-characters"  # noqa: S105 - of servers that end with the bench
BUCKET: Final = "costs"
READY_S: Final = 120.0
LOOK_S: Final = 0.01
WINDOW_S: Final = 24 * 3600  # nobody is late, and no worker leaves `full` renditions for later because of a wait
# Metrics of MinIO are computed at most every few seconds: what did not change for this long is the last word.
STABLE_S: Final = 5.0
# Of objects: a node also asks for its bucket each second, which is no cost of a pair.
REQUESTS: Final = r'^minio_api_requests_total\{name="((?!\w*Bucket)\w+)".*\} (\S+)$'
ALONE_S: Final = 3.0
SERVED: Final = 500  # a status from here on says that the tier, or the one behind it, does not take work yet


class Counted(msgspec.Struct, frozen=True):
    """Requests for objects to MinIO by name, and the bytes that it received and sent, since it was started."""

    requests: dict[str, float]
    received: float
    sent: float

    def since(self, before: "Counted") -> "Counted":
        """The requests and bytes between `before` and this reading."""
        added = {name: count - before.requests.get(name, 0.0) for name, count in self.requests.items()}
        kept = {name: count for name, count in added.items() if count}
        return Counted(kept, self.received - before.received, self.sent - before.sent)


class Stack:
    """The running processes; `running` makes it."""

    def __init__(self, kind: str, folder: Path, environment: list[str], session: aiohttp.ClientSession) -> None:
        self.kind, self.folder = kind, folder
        self.environment, self.session = environment, session
        self.pids: dict[str, int] = {}
        self.ports: dict[str, int] = {}
        self.start_s: dict[str, float] = {}
        self.redis_alone = 0.0  # cores of a Redis that nobody uses
        self.s3 = ""
        self.context: ssl.SSLContext | None = None

    @property
    def root(self) -> Path:
        """The folder under which the store keeps its objects."""
        return self.folder / "minio" / BUCKET if self.kind == "minio" else self.folder / "store"

    def headers(self, user: str, scope: str = "upload") -> dict[str, str]:
        """The token of a user."""
        return {"Authorization": f"Bearer {token(SECRET, user, scope, time.time())}"}

    async def open_moment(self) -> str:
        """Open a moment that has fired; its id."""
        address = f"http://127.0.0.1:{self.ports['node']}/v1/moments"
        body = {"region": "costs", "window_s": WINDOW_S}
        async with self.session.post(address, json=body, headers=self.headers("bench", "ops")) as answer:
            if answer.status != 201:
                raise started.StartError(f"the node opened no moment: {await answer.text()}")
            moment: dict[str, str] = await answer.json()
            return moment["id"]

    async def counts(self, moment_id: str) -> dict[str, int]:
        """The summary of a moment: a check, never part of what is measured."""
        address = f"http://127.0.0.1:{self.ports['node']}/v1/moments/{moment_id}/summary"
        async with self.session.get(address, headers=self.headers("bench", "ops")) as answer:
            counts: dict[str, int] = await answer.json()
            return counts

    async def node_metrics(self) -> str:
        """The metrics of the node as text."""
        async with self.session.get(f"http://127.0.0.1:{self.ports['node']}/metrics") as answer:
            return await answer.text()

    async def counted(self) -> Counted:
        """What MinIO has counted, once that does not change any more."""
        return await counted(self.session, self.s3)

    @contextlib.contextmanager
    def worker(self) -> Iterator[tuple[int, float]]:
        """Run a worker until the block ends; its pid, and when it was started (unix seconds)."""
        began = time.time()
        command = ["env", *self.environment, "SNAPSURGE_PROCESSORS_DEGRADE_S=86400", sys.executable, "-m", "processors"]
        with started.process(command, None) as process:
            yield process.pid, began


async def counted(session: aiohttp.ClientSession, s3: str) -> Counted:
    """What the MinIO at this address has counted, once that does not change any more."""
    found = Counted({}, 0, 0)
    since = time.monotonic()
    while time.monotonic() - since < STABLE_S:
        async with session.get(f"{s3}/minio/metrics/v3/api/requests") as answer:
            new = parsed(await answer.text())
        if new != found:
            found, since = new, time.monotonic()
        await asyncio.sleep(STABLE_S / 10)
    return found


def parsed(text: str) -> Counted:
    """The counts in MinIO's metrics."""
    requests = re.findall(REQUESTS, text, re.MULTILINE)
    received, sent = (
        sum(map(float, re.findall(rf"^minio_api_requests_traffic_{way}_bytes\S* (\S+)$", text, re.MULTILINE)))
        for way in ("received", "sent")
    )
    return Counted({name: float(count) for name, count in requests}, received, sent)


async def _served(session: aiohttp.ClientSession, address: str, began: float) -> float:
    """Seconds since `began` until the address answers as one that takes work; StartError after `READY_S`."""
    while time.monotonic() - began < READY_S:
        with contextlib.suppress(aiohttp.ClientError, OSError):
            async with session.get(address) as answer:
                if answer.status < SERVED:
                    return time.monotonic() - began
        await asyncio.sleep(LOOK_S)
    raise started.StartError(f"{address} does not take work after {READY_S:g} s")


@contextlib.asynccontextmanager
async def running(kind: str, folder: Path) -> AsyncIterator[Stack]:
    """Start everything but a worker; yields when a balancer passes requests on to the node."""
    async with aiohttp.ClientSession() as session:
        with contextlib.ExitStack() as opened:
            began = time.monotonic()
            redis, redis_pid = opened.enter_context(backing.redis(folder, durable=True))
            redis_s = time.monotonic() - began
            store = (folder / "store").as_uri()
            extra: list[str] = []
            s3, minio_pid, began = "", 0, time.monotonic()
            if kind == "minio":
                s3, minio_pid = opened.enter_context(backing.minio(folder))
                store, extra = f"s3://{BUCKET}?endpoint={s3}&region={backing.REGION}", backing.credentials()
            settings = {"STORE_URL": store, "REDIS_URL": redis, "AUTH_SECRET": SECRET}
            environment = [*extra, *(f"SNAPSURGE_{name}={value}" for name, value in settings.items())]
            stack = Stack(kind, folder, environment, session)
            stack.pids["redis"], stack.start_s["redis"] = redis_pid, redis_s
            if kind == "minio":
                stack.s3, stack.pids["store"] = s3, minio_pid
                stack.start_s["store"] = await _served(session, f"{s3}/minio/health/ready", began)
            alone, _ = await measured({"redis": redis_pid}, lambda: asyncio.sleep(ALONE_S))
            stack.redis_alone = alone.cpu_ms["redis"] / 1000 / alone.seconds
            await _start(stack, opened)
            yield stack


async def _start(stack: Stack, opened: contextlib.ExitStack) -> None:
    """Start the node, then both balancers; each takes work before the next is started, so that times do not mix."""
    certificate = started.certificate(stack.folder)
    tls = ("--tls-cert", str(certificate), "--tls-key", str(certificate))
    # The other side of the measurement: what is verified costs the phone, not the balancer.
    stack.context = ssl.create_default_context(cafile=certificate)
    # No autoscaler: the bench decides when pairs are rendered, and no sweep runs while something is measured.
    programs: Mapping[str, tuple[str, ...]] = {
        "node": ("ingest", "--id", "a"),
        "lb": ("lb", "--admin", "off"),
        "lb_tls": ("lb", "--admin", "off", *tls),
    }
    for name, words in programs.items():
        port = stack.ports[name] = started.free_port()
        secrets = () if name == "node" else ("SNAPSURGE_LB_TICKET_SECRET=" + SECRET,)
        command = [*stack.environment, *secrets, sys.executable, "-m", *words, "--listen", f"127.0.0.1:{port}"]
        began = time.monotonic()
        process = opened.enter_context(started.process(["env", *command], port))
        path = "/readyz" if name == "node" else "/v1/moments/none"
        stack.pids[name] = process.pid
        if name == "lb_tls":
            stack.start_s[name] = stack.start_s["lb"]  # the same program
            await _tls_served(stack, began)
        else:
            stack.start_s[name] = await _served(stack.session, f"http://127.0.0.1:{port}{path}", began)


async def _tls_served(stack: Stack, began: float) -> None:
    """Wait until the balancer with TLS passes requests on."""
    connector = aiohttp.TCPConnector(ssl=False)
    async with aiohttp.ClientSession(connector=connector) as session:
        await _served(session, f"https://127.0.0.1:{stack.ports['lb_tls']}/v1/moments/none", began)
