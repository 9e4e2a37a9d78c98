"""The stack under test and the parts that faults act on: its own Redis, its own MinIO, and fault proxies in between.

`python -m deploy up` runs as a user runs it. Phones reach the balancers through fault proxies, and the programs of the
stack reach Redis and MinIO through others. The checker reads the store and Redis directly.
"""

import asyncio
import contextlib
import itertools
import signal
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import aiohttp
import msgspec
import psutil
import pytest
from redis.asyncio import Redis

from deploy import ready, servers, stack
from deploy.config import Environment
from deploy.tokens import token
from storage import keys
from storage.blobs import BlobStore
from storage.files import FileStore
from storage.s3.address import S3Address
from storage.s3.store import S3Store
from tests.faults.phones import SECRET
from tests.faults.proxy import FaultProxy
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
Kind = Literal["file", "minio"]
WAIT_S = 60.0
DISK_MB = 96
NODES = ("a", "b", "c")
# Faults kill a node every few seconds, which must not count as flapping; posts that lost their jobs are swept soon.
SETTINGS = {"SNAPSURGE_LB_FLAP_S": "0", "SNAPSURGE_PROCESSORS_SWEEP_EVERY_S": "2"}


class Opened(msgspec.Struct):
    """A moment as the API returns it."""

    id: str
    closes_at: str


class Server:
    """A process on a port of its own that can be killed and started again."""

    def __init__(self, port: int, command: Sequence[str], log: Path, extra: Mapping[str, str] | None = None) -> None:
        self.port, self._command, self._log = port, command, log
        self._environment = {**Environment.current(), **(extra or {})}

    @property
    def pid(self) -> int:
        """The id of the current process."""
        return self._process.pid

    async def start(self) -> None:
        """Start the process; returns when the port accepts connections."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)
        await until(self._listens, f"{self._command[0]} listens")

    async def _listens(self) -> bool:
        assert self._process.poll() is None, self._log.read_text(errors="replace")[-2000:]
        return await listens(self.port)

    def kill(self) -> str:
        """Send SIGKILL; returns the evidence."""
        self._process.kill()
        return f"pid {self.pid} ended with {self._process.wait()}"


def needs(store: Kind) -> None:
    """Skip the test where MinIO is missing; fail it in CI."""
    try:
        if store == "minio":
            servers.minio_program()
    except servers.ServerMissing as missing:
        (pytest.fail if Environment.current().get("CI") == "true" else pytest.skip)(str(missing))


async def listens(port: int) -> bool:
    """Whether the port accepts connections."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def until(holds: Callable[[], Awaitable[bool]], what: str, timeout_s: float = WAIT_S) -> None:
    """Wait until the condition holds; TimeoutError names `what`."""
    deadline = time.monotonic() + timeout_s
    while not await holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout_s:.0f} s: {what}")
        await asyncio.sleep(0.05)


class Rig:
    """`async with Rig(kind, folder)`; `small_disk`: the file store on a tmpfs of its own where root may mount.

    `single`: one process of each tier, so that a test knows which one handles an upload. `settings`: more settings.
    """

    store: BlobStore

    def __init__(
        self, kind: Kind, folder: Path, *, small_disk: bool = False, single: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.kind, self.folder, self._settings = kind, folder, {**SETTINGS, **(settings or {})}
        self._counts = (1, 1, 1) if single else (2, 3, 2)  # balancers, nodes, workers at most
        self._small_disk = small_disk
        self.minio: Server | None = None
        self.store_proxy: FaultProxy | None = None
        self.disk: Path | None = None  # the folder of the small file store, if there is one
        self.joined: dict[str, str] = {}  # URLs of nodes that a fault has started beside the stack's
        self.opened = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as opened:
            self.clocks = self.folder / "clocks"
            self.clocks.mkdir(parents=True)
            for name in NODES:
                self.set_clock(name, 0.0)
            await self._start_redis(opened)
            url = await (self._start_minio(opened) if self.kind == "minio" else self._make_disk(opened))
            await opened.enter_async_context(self.store)
            self.session = await opened.enter_async_context(
                aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True))
            )
            await opened.enter_async_context(self._up(url))
            self.door_proxies = [
                await opened.enter_async_context(FaultProxy(int(each.url.rpartition(":")[2])))
                for each in self.record().balancers
            ]
            self.opened = opened.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.opened.aclose()

    async def _start_redis(self, opened: contextlib.AsyncExitStack) -> None:
        port, data = free_port(), self.folder / "redis"
        data.mkdir()
        self.redis_server = Server(port, servers.redis_command(port, data), self.folder / "redis.log")
        self.redis_data = data
        await self.redis_server.start()
        opened.callback(self.redis_server.kill)
        self.redis = Redis(port=port, socket_timeout=1.0)
        opened.push_async_callback(self.redis.aclose)
        self.redis_proxy = await opened.enter_async_context(FaultProxy(port))
        self.redis_url = f"redis://127.0.0.1:{self.redis_proxy.port}/0"

    async def _start_minio(self, opened: contextlib.AsyncExitStack) -> str:
        port, extra = free_port(), servers.minio_environment()
        command = servers.minio_command(port, free_port(), self.folder / "minio")
        self.minio = Server(port, command, self.folder / "minio.log", extra)
        await self.minio.start()
        opened.callback(self.minio.kill)
        patch = opened.enter_context(pytest.MonkeyPatch.context())
        for name, value in {**extra, "AWS_EC2_METADATA_DISABLED": "true"}.items():
            patch.setenv(name, value)
        self.store_proxy = await opened.enter_async_context(FaultProxy(port))
        address = "s3://faults?endpoint=http://127.0.0.1:{}&region=us-east-1"
        self.store = S3Store(S3Address.parse(address.format(port)))
        return address.format(self.store_proxy.port)

    async def _make_disk(self, opened: contextlib.AsyncExitStack) -> str:
        root = self.folder / "disk"
        root.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(root)]
        if self._small_disk and subprocess.run(command, check=False, capture_output=True).returncode == 0:
            opened.callback(subprocess.run, ["umount", "-l", str(root)], check=False)
            self.disk = root
        self.store = FileStore(root / "store")
        return (root / "store").as_uri()

    @contextlib.asynccontextmanager
    async def _up(self, store_url: str) -> AsyncIterator[None]:
        """Run the stack and kill it at the end: no test of this suite needs a drain."""
        self.state = self.folder / "state"
        command = [sys.executable, "-m", "deploy", "up", "--json", "--port", "0", "--workers-min", "1"]
        command += ["--state", str(self.state), "--store", store_url]
        command += ["--redis", self.redis_url]
        for name, count in zip(("balancers", "nodes", "workers-max"), self._counts, strict=True):
            command += [f"--{name}", str(count)]
        environment = {**Environment.current(), **self._settings, "FAULTS_CLOCKS": str(self.clocks)}
        environment["SNAPSURGE_AUTH_SECRET"] = SECRET
        environment["PYTHONPATH"] = str(ROOT / "tests" / "faults" / "clocks")
        with (self.folder / "up.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *command, cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE, stderr=log
            )
        assert process.stdout
        try:
            async with asyncio.timeout(WAIT_S):
                assert await process.stdout.readline(), (self.folder / "up.log").read_text()
            yield
        finally:
            for _ in range(2):
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGTERM)
                await asyncio.sleep(0.5)
            await process.wait()

    # For the faults and the rounds.

    @property
    def doors(self) -> list[str]:
        """The URLs of the proxies before the balancers, which phones use."""
        return [f"http://127.0.0.1:{proxy.port}" for proxy in self.door_proxies]

    def record(self) -> stack.Stack:
        """The current content of `stack.json`."""
        return stack.read(self.state)

    def pids(self, tier: str) -> list[int]:
        """The process ids of a tier: `balancer`, `node`, `worker` or `autoscaler`."""
        record = self.record()
        if tier == "autoscaler":
            return [record.autoscaler.pid] if record.autoscaler else []
        found: Sequence[stack.Process | stack.Node | stack.Balancer] = getattr(record, f"{tier}s")
        return [each.pid for each in found]

    def proxies(self, where: str) -> list[FaultProxy]:
        """The proxies in front of `store`, `redis`, or the balancers (`door`)."""
        if where == "door":
            return self.door_proxies
        proxy = self.store_proxy if where == "store" else self.redis_proxy
        return [proxy] if proxy else []

    def set_clock(self, node: str, offset_s: float) -> None:
        """Step a node's clock to `offset_s` seconds ahead of the real time."""
        path = self.clocks / node
        path.touch()
        with path.open("r+b") as file:
            file.write(struct.pack("d", offset_s))

    async def healthy(self) -> None:
        """Wait until every process runs and each balancer considers all nodes healthy."""
        await until(self._whole, "the stack is whole again")

    async def _whole(self) -> bool:
        record = self.record()
        addresses = {node.id: node.url.removeprefix("http://") for node in record.nodes}
        pids = [pid for tier in ("balancer", "node", "worker", "autoscaler") for pid in self.pids(tier)]
        return (
            bool(record.workers)
            and all(map(runs, pids))
            and await ready.redis_answers(record.redis)
            and all([await ready.serves(self.session, f"{node.url}/readyz") for node in record.nodes])
            and all([await ready.knows_all(self.session, each.admin, addresses) for each in record.balancers])
        )

    async def open_moment(self, window_s: int) -> Opened:
        """Open a moment that fires now; asks again for a minute after a 503, as of a node cut off from its store."""
        bearer = token(SECRET, "faults-ops", "ops", now=time.time(), ttl_s=3600)
        deadline = time.monotonic() + WAIT_S
        balancers = itertools.cycle(self.record().balancers)
        while True:
            async with self.session.post(
                f"{next(balancers).url}/v1/moments",
                json={"region": "faults", "window_s": window_s},
                headers={"Authorization": f"Bearer {bearer}"},
            ) as answer:
                said = await answer.text()
            if answer.status == 201:
                return msgspec.json.decode(said, type=Opened)
            assert answer.status == 503, said
            assert time.monotonic() < deadline, f"no moment within {WAIT_S:g} s: {said}"
            await asyncio.sleep(1.0)

    async def retire(self, moment: str) -> None:
        """Remove a judged moment from store and schedule, so that the sweeper does not sweep hundreds of them."""
        await self.store.delete(keys.moment(moment))
        await self.redis.zrem("snapsurge:moments", moment)
        async for entry in self.store.list(""):
            if f"/{moment}/" in entry.key:
                await self.store.delete(entry.key)


def runs(pid: int) -> bool:
    """Whether the process exists and is neither a zombie nor stopped."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() not in {psutil.STATUS_ZOMBIE, psutil.STATUS_STOPPED}
    return False
