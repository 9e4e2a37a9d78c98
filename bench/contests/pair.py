"""`python -m bench.contests.pair`: the CPU of a pair through everything, ours beside what one would write first.

Each contender is a whole pipeline: balancer, node, Redis and worker of its own, and one MinIO that both share. Ours is
`lb`, `ingest` and `processors`; the other one is HAProxy and `peers/textbook.py`. Both run all the time and are loaded
in turn, with the same photos: a round sends its pairs over kept connections and ends when all of them are ready. CPU is
user and system time of all five parts in that round, for each pair. Our worker is told never to leave renditions for
later, as it would with a long queue. Our autoscaler, which costs by the second and not by the pair, does not run.
"""

import contextlib
import itertools
import json
import shutil
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from .. import command
from ..client import token
from ..clock import SystemClock
from ..peers import backing, haproxy, meter, ours, started, textbook
from ..peers.phone import connected
from ..photos import Gallery
from ..rows import OURS, Row, against
from . import node

RIVAL: Final = "textbook"
AIM: Final = 0.45
PHOTO_BYTES: Final = 350_000
CASE: Final = "2 x 350 KB"
UNIT: Final = "CPU ms per pair"
PARTS: Final = ("balancer", "node", "Redis", "store", "worker")
PHONES: Final = 8
LOOK_S: Final = 0.5
READY_S: Final = 300.0
# It would leave renditions for later when the queue is long: the pair must be whole in both pipelines.
OUR_WORKER: Final = {"SNAPSURGE_PROCESSORS_DEGRADE_S": "86400"}


class Effort(msgspec.Struct, frozen=True):
    """The size of the bench: rounds, and pairs of each round."""

    rounds: int
    pairs: int


FULL: Final = Effort(rounds=7, pairs=100)
QUICK: Final = Effort(rounds=2, pairs=24)


class Pipeline(msgspec.Struct, frozen=True):
    """A running pipeline: its balancer's port, the processes of its parts, its upload, and its count of ready pairs."""

    port: int
    pids: dict[str, int]
    requests: Callable[[str, node.Pair], list[node.Request]]
    ready: Callable[[], int]

    def cpu_ms(self) -> dict[str, float]:
        """CPU of each part since it was started."""
        return {part: meter.cpu_ms(pid) for part, pid in self.pids.items()}


def _counted(url: str, scope: str) -> Callable[[], int]:
    """Asks a server how many pairs are ready or rejected."""

    def ready() -> int:
        bearer = token(node.SECRET, "bench", scope, time.time())
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {bearer}"})  # noqa: S310 - our server
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - the same
            found = json.load(answer)
        if found.get("rejected"):
            raise started.StartError(f"{url}: {found['rejected']} pairs were rejected")
        return int(found["ready"])

    return ready


@contextlib.contextmanager
def our_pipeline(folder: Path, s3: str, minio_pid: int) -> Iterator[Pipeline]:
    """Balancer, node and worker of ours as an operator starts them."""
    # Own ports, and a Redis of its own: each part's CPU is of this pipeline alone. Only MinIO is shared, and it is
    # loaded by one at a time.
    front, upload, metrics = (started.free_port() for _ in range(3))
    with backing.redis(folder) as (redis, redis_pid), contextlib.ExitStack() as stack:
        behind = backing.Backing(s3, redis, minio_pid)
        ingest = stack.enter_context(started.process(node.node_command(upload, behind), upload))
        more = {**node.our_settings(behind), **OUR_WORKER, "SNAPSURGE_PROCESSORS_LISTEN": f"127.0.0.1:{metrics}"}
        words = [f"{name}={value}" for name, value in more.items()]
        render = ["env", *backing.credentials(), *words, sys.executable, "-m", "processors"]
        worker = stack.enter_context(started.process(render, metrics))
        place = ("--listen", f"127.0.0.1:{front}", "--admin", "off", "--check", "off")
        balance = [*ours.PROGRAM, *place, "--node", f"a=127.0.0.1:{upload}"]
        lb = stack.enter_context(started.process(balance, front))
        path = node.moment_path(upload)
        summary = f"http://127.0.0.1:{upload}{path.removesuffix('posts')}summary"
        pids = dict(zip(PARTS, (lb.pid, ingest.pid, redis_pid, minio_pid, worker.pid), strict=True))
        yield Pipeline(front, pids, node.upload(path), _counted(summary, "ops"))


@contextlib.contextmanager
def textbook_pipeline(folder: Path, s3: str, minio_pid: int) -> Iterator[Pipeline]:
    """HAProxy, the textbook server and its stock arq worker."""
    front, upload = started.free_port(), started.free_port()
    with backing.redis(folder) as (redis, redis_pid), contextlib.ExitStack() as stack:
        start = ["env", *backing.credentials(), sys.executable, "-m", textbook.__name__]
        given = [str(upload), s3, RIVAL, redis, node.SECRET]
        server = stack.enter_context(started.process([*start, *given], upload))
        worker = stack.enter_context(started.process([*start, "worker", s3, RIVAL, redis], None))
        lb = stack.enter_context(started.process(haproxy.command(front, [upload], folder, None), front))
        pids = dict(zip(PARTS, (lb.pid, server.pid, redis_pid, minio_pid, worker.pid), strict=True))
        yield Pipeline(front, pids, node.upload("/upload"), _counted(f"http://127.0.0.1:{upload}/ready", "upload"))


async def through(pipeline: Pipeline, users: Iterator[int], pairs: Sequence[node.Pair], count: int) -> dict[str, float]:
    """Send so many pairs, wait until they are ready; CPU ms of each part for each pair."""
    clock, wanted = SystemClock(), pipeline.ready() + count
    phones = [await connected(pipeline.port) for _ in range(PHONES)]
    # After the connections are open: a round pays for its pairs. Our autoscaler does not run; it costs by the second
    # and not by the pair.
    before, deadline = pipeline.cpu_ms(), clock.now() + READY_S
    await node.post(pipeline.requests, phones, users, pairs, count)
    while (ready := pipeline.ready()) < wanted:
        if clock.now() > deadline:
            raise started.StartError(f"{wanted - ready} of {count} pairs are not ready after {READY_S:.0f} s")
        await clock.sleep(LOOK_S)
    after = pipeline.cpu_ms()
    for phone in phones:
        phone.transport.close()
    return {part: (after[part] - before[part]) / count for part in PARTS}


def rows(readings: Mapping[str, Sequence[Mapping[str, float]]]) -> Iterator[Row]:
    """The row of the whole pair, which has the aim, then one of each part; a reading is a round of a contender."""
    yield against(
        f"{CASE}, through everything",
        UNIT,
        {name: [sum(one.values()) for one in found] for name, found in readings.items()},
        at_most=AIM,
    )
    for part in PARTS:
        yield against(f"{CASE}, {part}", UNIT, {name: [one[part] for one in found] for name, found in readings.items()})


async def measure(field: Mapping[str, Pipeline], effort: Effort) -> Iterator[Row]:
    """Load the pipelines in turn; the rows at the end."""
    gallery, users = Gallery(1, PHOTO_BYTES), itertools.count()
    sides = [
        (gallery.photo(str(n), "front", PHOTO_BYTES), gallery.photo(str(n), "back", PHOTO_BYTES)) for n in range(8)
    ]
    for pipeline in field.values():  # warm-up, so that no round includes cold code
        await through(pipeline, users, sides, 2 * PHONES)
    readings: dict[str, list[dict[str, float]]] = defaultdict(list)
    turn = list(field.items())
    for number in range(effort.rounds):
        for name, pipeline in turn[number % 2 :] + turn[: number % 2]:
            readings[name].append(await through(pipeline, users, sides, effort.pairs))
    return rows(readings)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; return the exit code."""
    given = command.given("contests.pair", __doc__, "pair.json", arguments)
    effort = QUICK if given.quick else FULL

    def told(tell: command.Tell) -> None:
        if not shutil.which(haproxy.PACKAGE, path=started.PATH):
            raise started.StartError(f"on Debian: apt-get install {haproxy.PACKAGE}")
        with contextlib.ExitStack() as stack:
            folder, *own = (Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-pair-"))) for _ in "123")
            s3, pid = stack.enter_context(backing.minio(folder))
            field = {
                OURS: stack.enter_context(our_pipeline(own[0], s3, pid)),
                RIVAL: stack.enter_context(textbook_pipeline(own[1], s3, pid)),
            }
            for row in uvloop.run(measure(field, effort)):
                tell(row)

    return command.run(given.out, told, rounds=effort.rounds)


if __name__ == "__main__":
    sys.exit(main())
