"""Workers as processes, a Redis that can be killed, pairs to render: what the other processors tests are made of."""

import asyncio
import contextlib
import hashlib
import io
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import psutil
import pytest
from PIL import Image
from redis.asyncio import Redis
from redis.exceptions import RedisError

from deploy.config import Environment
from deploy.servers import ServerMissing, redis_command
from storage import intake, keys, media
from storage.blobs import BlobExists, BlobMissing
from storage.files import FileStore
from storage.index import Index
from storage.keys import LEASES_KEY
from storage.moments import Moments
from storage.posts import Posts
from storage.queue.jobs import QUEUES, jobs_of
from storage.queue.shards import Shards
from storage.records import Moment, Photo, Photos, Post, Receipt, accepted, from_ms, to_ms
from storage.sharded_index import ShardedIndex
from storage.zips import TAIL_BYTES
from tests.ports import free_port
from tests.reports import observed

ROOT = Path(__file__).resolve().parents[2]
LONG_S = 60


def photo(width: int = 900, height: int = 1200) -> bytes:
    """A JPEG with enough in it that a render takes a while."""
    out = io.BytesIO()
    Image.effect_noise((width, height), 60).convert("RGB").save(out, "JPEG", quality=80)
    return out.getvalue()


class Stack:
    """A folder as store, a Redis of its own that can be killed, and processes of ours."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.redis_process: subprocess.Popen[bytes] | None = None
        self.processes: list[subprocess.Popen[bytes]] = []
        self.store = FileStore(folder / "store")
        self.redis = Redis(port=port)
        self.queue = Shards({"": self.redis})
        self.moment: Moment | None = None
        self.body = photo()
        self.extra: dict[str, str] = {}

    @property
    def index(self) -> ShardedIndex:
        """The index over the shards of the queue."""
        return ShardedIndex(self.redis, self.queue.clients)

    async def start_redis(self) -> None:
        """Start it, on what it has on disk."""
        (self.folder / "redis").mkdir(exist_ok=True)
        command = redis_command(self.port, self.folder / "redis")
        self.redis_process = started(command)

        async def answers() -> bool:
            with contextlib.suppress(RedisError):
                return bool(await self.redis.ping())
            return False

        await until(answers)

    def kill_redis(self) -> None:
        """As a power cut would."""
        assert self.redis_process
        self.redis_process.kill()
        self.redis_process.wait()

    def start(self, *arguments: str, **settings: object) -> "subprocess.Popen[bytes]":
        """`python -m processors …` with these settings."""
        names = {f"SNAPSURGE_PROCESSORS_{name.upper()}": str(value) for name, value in settings.items()}
        inherited = {name: text for name, text in Environment.current().items() if not name.startswith("SNAPSURGE_")}
        urls = {
            "SNAPSURGE_STORE_URL": f"file://{self.folder}/store",
            "SNAPSURGE_REDIS_URL": f"redis://127.0.0.1:{self.port}/0",
        }
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "processors", *arguments],
                env={**inherited, **urls, **self.extra, **names},
                cwd=ROOT,
                stderr=log,
            )
        self.processes.append(process)
        return process

    def log(self) -> str:
        """What all of them logged."""
        return (self.folder / "log").read_text()

    def ids(self, count: int, *, first: int = 0) -> list[str]:
        """The ids of so many users' posts."""
        assert self.moment
        return [keys.post_id(self.moment.id, f"user {number}") for number in range(first, first + count)]

    async def post(self, count: int, *, first: int = 0, tell: bool = True) -> list[str]:
        """Accept so many pairs and, to `tell`, queue their jobs, as nodes do."""
        assert self.moment
        received_at = from_ms(to_ms(self.moment.fires_at) + 1)
        shot = Photo(sha256=hashlib.sha256(self.body).hexdigest(), bytes=1, width=900, height=1200, format="jpeg")
        ids = []
        for number in range(first, first + count):
            receipt = Receipt(
                id=keys.post_id(self.moment.id, f"user {number}"),
                moment_id=self.moment.id,
                user_id=f"user {number}",
                received_at=received_at,
                closes_at=self.moment.closes_at,
                request_id=f"request {number}",
                photos=Photos(front=shot, back=shot),
            )
            with contextlib.suppress(BlobExists):
                await self.store.create(
                    keys.intake(self.moment.id, receipt.id), b"".join(intake.pack(receipt, self.body, self.body))
                )
            if tell:
                await observed(self.index, [accepted(receipt)])
                await self.queue.enqueue(jobs_of(self.moment.id, receipt.id))
            ids.append(receipt.id)
        return ids

    async def ready(self, post_ids: list[str]) -> int:
        """How many of these have their media object."""
        assert self.moment
        found = 0
        for post_id in post_ids:
            with contextlib.suppress(BlobMissing):
                tail = (await self.store.read_tail(keys.media(self.moment.id, post_id), TAIL_BYTES)).body
                found += media.record_in(tail).state == "ready"
        return found

    async def record(self, post_id: str) -> Post:
        """What its media object says."""
        assert self.moment
        return media.record_in((await self.store.read_tail(keys.media(self.moment.id, post_id), TAIL_BYTES)).body)

    async def leased_by(self, process: "subprocess.Popen[bytes]") -> str:
        """Wait until this worker renders, and say what: the token in the lease has its process id."""
        found: list[str] = []

        async def leased() -> bool:
            leases = await self.redis.hgetall(LEASES_KEY)
            ours = f":{process.pid}:".encode()
            found.extend(job.decode() for job, lease in leases.items() if job.startswith(b"render") and ours in lease)
            return bool(found)

        await until(leased, self.log)
        return found[0]

    async def counted(self, event: str) -> int:
        """How often Redis saw this happen to a job."""
        return (await self.queue.depth()).counted.get(event, 0)

    async def all_ready(self, post_ids: list[str]) -> None:
        """Wait until every post is ready and every queue is empty."""

        async def done() -> bool:
            with contextlib.suppress(RedisError):
                left = [await one.exists(*QUEUES) for one in self.queue.clients.values()]
                return await self.ready(post_ids) == len(post_ids) and not any(left)
            return False

        await until(done, self.log)
        assert self.moment
        counts = await Posts(self.store, self.index).counts(self.moment.id)
        assert (counts.accepted, counts.ready, counts.on_time, counts.pending) == (len(post_ids),) * 3 + (0,)


def started(command: list[str]) -> "subprocess.Popen[bytes]":
    """A server that says nothing."""
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


async def until(condition: Callable[[], Awaitable[bool]], explain: Callable[[], str] = str) -> None:
    """Look every little while, and fail after a minute."""
    deadline = time.monotonic() + LONG_S
    while not await condition():
        assert time.monotonic() < deadline, explain()
        await asyncio.sleep(0.05)


def children(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    """The workers of an autoscaler."""
    return [one for one in psutil.Process(process.pid).children() if one.status() != psutil.STATUS_ZOMBIE]


# Settings with which an autoscaler is soon done with everything.
QUICK: dict[str, object] = {
    "workers_max": 2,
    "scale_every_s": 0.1,
    "scale_down_s": 1,
    "warm_hold_s": 0,
    "drain_target_s": 1,
}


@contextlib.asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Stack]:
    """Redis up, a moment just fired, nothing else; every process started here is ended."""
    made = Stack(folder, free_port())
    try:
        await made.start_redis()
        async with made.store:
            moments = Moments(made.store, Index(made.redis))
            made.moment = await moments.create("eu-west", time.time_ns() // 1_000_000 - 1000, 120)
            yield made
    except ServerMissing as error:
        pytest.skip(str(error))
    finally:
        _end(made.processes)
        await made.redis.aclose()
        if made.redis_process:
            made.kill_redis()


def _end(processes: "list[subprocess.Popen[bytes]]") -> None:
    everybody: list[psutil.Process] = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            everybody += [psutil.Process(process.pid), *psutil.Process(process.pid).children()]
    for one in everybody:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    for process in processes:
        process.wait()
