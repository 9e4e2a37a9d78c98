"""`python -m processors.drain_drill fill|work URL COUNT --store FOLDER`: pairs through the real jobs, queue and index.

For `make bench-queue`, to measure what draining costs Redis; `processors.drill` has the same commands and output for
no-op jobs. `fill` commits and announces pairs as a node does, in batches. `work` runs workers until no job is left;
only their renders are replaced: each takes `RENDER_S` of waiting, so that many workers fit on few cores.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from redis.asyncio import Redis

from storage import intake, keys, media
from storage.existence import Existence
from storage.files import FileStore
from storage.index import Report as Told
from storage.moments import Moments
from storage.queue.jobs import Queue, jobs_of
from storage.queue.shards import Shards
from storage.records import Photo, Photos, Post, Receipt, accepted, attempt_id, flagged, from_ms
from storage.scripts import run
from storage.sharded_index import ShardedIndex

from .batched import BatchedIndex
from .config import Config
from .drill import LULL_S, Report
from .functions import functions
from .metrics import Metrics
from .post_jobs import Jobs
from .worker import JobWorker

# A worker renders a pair of phone photos in 0.1 to 0.15 s.
RENDER_S = 0.1
# Pairs in one call: what a node gets within its linger when it is busy.
BATCH = 8
PHOTO = Photo(sha256="0" * 64, bytes=5, width=96, height=128, format="jpeg")
RENDITIONS = ("front-thumb", "front-feed", "back-thumb", "back-feed", "composite", "front-full", "back-full")


async def fill(url: str, folder: Path, pairs: int, report: Report) -> None:
    """Commit pairs, and report them to index and queue."""
    async with Redis.from_url(url) as redis, FileStore(folder) as store:
        index, existence = ShardedIndex(redis, {"": redis}), Existence(store)
        now_ms = time.time_ns() // 1_000_000
        moment = await Moments(store, index).create("drill", now_ms - 1000, 120)
        for start in range(0, pairs, BATCH):
            proof, posts = await index.shards[""].proof(), []
            for number in range(start, min(start + BATCH, pairs)):
                receipt = Receipt(
                    id=keys.post_id(moment.id, f"user {number}"),
                    moment_id=moment.id,
                    user_id=f"user {number}",
                    received_at=from_ms(now_ms),
                    closes_at=moment.closes_at,
                    request_id="drill",
                    attempt=attempt_id(now_ms, number.to_bytes(10)),
                    photos=Photos(front=PHOTO, back=PHOTO),
                )
                await existence.commit(receipt, b"front", b"back!")
                posts.append(accepted(receipt))
            jobs = [job for post in posts for job in jobs_of(post.moment_id, post.id)]
            await run(redis, index.shards[""].observing([Told(one, proof) for one in posts]), Queue.enqueueing(jobs))
            report.done += len(posts)
    report.ended_s = time.monotonic()


async def work(url: str, folder: Path, workers: int, report: Report) -> None:
    """Run workers until the queue is empty."""
    stop = asyncio.Event()
    async with Redis.from_url(url) as redis, FileStore(folder) as store, asyncio.TaskGroup() as running:
        for _ in range(workers):
            running.create_task(_worker(url, store, stop, report), name="drill-worker")
        while not stop.is_set():
            await asyncio.sleep(LULL_S)
            if time.monotonic() - report.ended_s > LULL_S + RENDER_S:
                depth = await Queue(redis).depth()
                if not depth.ready + depth.leased + depth.deferred:
                    stop.set()


async def _worker(url: str, store: FileStore, stop: asyncio.Event, report: Report) -> None:
    slot = asyncio.Lock()  # a worker has one render process

    async def render(archive: bytes, **_: object) -> tuple[Post, bytes]:
        async with slot:
            await asyncio.sleep(RENDER_S)
        receipt = intake.unpack(archive).receipt
        post = msgspec.structs.replace(flagged(accepted(receipt), receipt.late_by_ms), state="ready")
        report.done += 1
        report.ended_s = time.monotonic()
        return media.pack(post, {name: media.Image(b"picture", 96, 128) for name in RENDITIONS})

    config, metrics = Config(), Metrics()
    async with Redis.from_url(url) as redis:
        clients = {"": redis}
        index = ShardedIndex(redis, clients)
        async with BatchedIndex(index) as batched:
            moments, shards = Moments(store, index), Shards(clients)
            jobs = Jobs(store, batched, moments, render=render, metrics=metrics, enqueue=shards.enqueue)
            called: Any = functions(jobs, config.degrade_s)
            await JobWorker(config, redis, clients, called, metrics).run_until(stop)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and print its report."""
    parser = argparse.ArgumentParser(prog="python -m processors.drain_drill", description=__doc__, allow_abbrev=False)
    parser.add_argument("command", choices=("fill", "work"))
    parser.add_argument("url", help="redis://…")
    parser.add_argument("count", type=int, help="pairs to queue, or workers to run")
    parser.add_argument("--store", type=Path, required=True, help="folder of the pairs")
    given = parser.parse_args(arguments)
    if given.command == "work":
        print("ready", flush=True)  # noqa: T201 - see above
        sys.stdin.readline()
    began_s, cpu_s = time.monotonic(), time.process_time()
    report = Report(began_s, began_s)
    command = fill if given.command == "fill" else work
    uvloop.run(command(given.url, given.store, given.count, report))
    report.cpu_s = time.process_time() - cpu_s
    print(msgspec.json.encode(report).decode(), flush=True)  # noqa: T201 - see above
    return 0


if __name__ == "__main__":
    sys.exit(main())
