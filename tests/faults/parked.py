"""Faults that hit uploads while they are parked, and what the nodes' metrics say of them.

Each fault waits until a node has parked uploads; without any it is void. The holder is the node that has most.
"""

import asyncio
import os
import random
import re
import signal
import subprocess
from collections import Counter
from functools import partial

import aiohttp
import psutil

from deploy import ready, stack
from tests.faults import strikes
from tests.faults.catalogue import BOTH, S3, Fault, Run
from tests.faults.evidence import Void, frozen, lives, signalled
from tests.faults.rig import Kind, Rig, until
from tests.faults.toxics import Blackhole, Slow, Swallowed
from tests.ports import free_port

WAIT_S = 5.0
LOOK_S = 0.25
JOINER = "d"
DRAIN_S = 4.0
# Uploads that nobody resumes would hold a draining node for all of its time; a node that joins has its share at once.
SETTINGS = {"SNAPSURGE_INGEST_DRAIN_S": f"{DRAIN_S:g}", "SNAPSURGE_LB_SLOW_START_S": "0"}
PATCH = rb"PATCH /v1/uploads/"
COUNTED = re.compile(r"^snapsurge_ingest_(parked_uploads|resumable_begun_total|resumed_total) (\S+)", re.MULTILINE)
ENDED = re.compile(r'^snapsurge_ingest_resumable_ended_total\{[^}]*="(\w+)"\} (\S+)', re.MULTILINE)


async def numbers(session: aiohttp.ClientSession, url: str) -> dict[str, int]:
    """What a node counts of resumable uploads; empty when it does not answer."""
    try:
        async with session.get(f"{url}/metrics", timeout=aiohttp.ClientTimeout(total=1)) as answer:
            page = await answer.text()
    except (aiohttp.ClientError, TimeoutError, OSError):
        return {}
    found = {name: int(float(value)) for name, value in COUNTED.findall(page)}
    return found | {f"ended: {reason}": int(float(value)) for reason, value in ENDED.findall(page)}


class Watch:
    """Looks at the metrics of all nodes while a round is played; a node that was killed counts from zero again."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._last: dict[str, dict[str, int]] = {}
        self._counts: Counter[str] = Counter()
        self._most = 0

    async def look(self) -> None:
        """Take one look."""
        nodes = {node.id: node.url for node in self._rig.record().nodes} | self._rig.joined
        pages = await asyncio.gather(*(numbers(self._rig.session, url) for url in nodes.values()))
        self._most = max(self._most, sum(page.get("parked_uploads", 0) for page in pages))
        for name, page in zip(nodes, pages, strict=True):
            last = self._last.get(name)
            for what, value in page.items():
                if last is not None and what != "parked_uploads":
                    before = last.get(what, 0)
                    self._counts[what] += value - before if value >= before else value
            if page:
                self._last[name] = page
            elif name in self._rig.joined:
                self._last.setdefault(name, {})

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    def counts(self) -> dict[str, int]:
        """The most uploads that were parked at once, and how much each counter grew."""
        grown = {f"node {what}": count for what, count in sorted(self._counts.items()) if count}
        return {"parked at once": self._most} | grown


async def holder(rig: Rig) -> tuple[stack.Node, int]:
    """The node with the most parked uploads, and their number; Void when none has any within `WAIT_S`."""
    found: list[tuple[int, stack.Node]] = []

    async def held() -> bool:
        nodes = rig.record().nodes
        pages = await asyncio.gather(*(numbers(rig.session, node.url) for node in nodes))
        found[:] = [(page.get("parked_uploads", 0), node) for page, node in zip(pages, nodes, strict=True)]
        return any(count for count, _ in found)

    try:
        await until(held, "a node has parked uploads", WAIT_S)
    except TimeoutError as error:
        raise Void(str(error)) from None
    count, node = max(found, key=lambda one: one[0])
    return node, count


async def killed(rig: Rig, rng: random.Random) -> str:
    """SIGKILL the holder."""
    node, count = await holder(rig)
    return f"{await signalled(node.pid, signal.SIGKILL)} with {count} parked uploads"


async def stopped(rig: Rig, rng: random.Random) -> str:
    """SIGSTOP, SIGCONT the holder."""
    node, count = await holder(rig)
    return f"{await frozen(node.pid, rng.uniform(0.5, 3.0))} with {count} parked uploads"


async def drained(rig: Rig, rng: random.Random) -> str:
    """SIGTERM the holder, and wait until it has ended; says how long it kept its uploads for their phones."""
    node, count = await holder(rig)
    try:
        born = psutil.Process(node.pid).create_time()
        os.kill(node.pid, signal.SIGTERM)
    except (psutil.NoSuchProcess, ProcessLookupError):
        raise Void(f"node {node.id} was gone") from None
    before = after = await numbers(rig.session, node.url)
    async with asyncio.timeout(60):
        while lives(node.pid, born):
            after = await numbers(rig.session, node.url) or after
            await asyncio.sleep(0.1)
    resumed = after.get("resumed_total", 0) - before.get("resumed_total", 0)
    return f"node {node.id} drained with {count} parked uploads; {max(0, resumed)} requests resumed one meanwhile"


async def joins(rig: Rig, rng: random.Random) -> str:
    """Another node joins the ring while uploads are parked, serves, and later drains or dies."""
    node, port = rng.choice(rig.record().nodes), free_port()
    try:
        process = psutil.Process(node.pid)
        environment, folder = process.environ(), process.cwd()
    except psutil.NoSuchProcess:
        raise Void(f"node {node.id} was gone") from None
    command = [{f"127.0.0.1:{node.url.rpartition(':')[2]}": f"127.0.0.1:{port}"}.get(one, one)
               for one in process.cmdline()]  # fmt: skip
    command[command.index("--id") + 1] = JOINER
    rig.set_clock(JOINER, 0.0)
    with (rig.folder / "joiner.log").open("ab") as log:
        joiner = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
    address = f"127.0.0.1:{port}"
    rig.joined[JOINER] = f"http://{address}"

    async def known() -> bool:
        balancers = rig.record().balancers
        return all([await ready.knows_all(rig.session, each.admin, {JOINER: address}) for each in balancers])

    try:
        await until(known, "the new node is known", 20)
        _, count = await holder(rig)
        before = await _resumed(rig)
        await asyncio.sleep(rng.uniform(1.5, 3.0))
        own, after = await numbers(rig.session, rig.joined[JOINER]), await _resumed(rig)
        joiner.send_signal(rng.choice((signal.SIGTERM, signal.SIGKILL)))
        await until(lambda: _ended(joiner), "the new node ends", 60)
    except TimeoutError as error:
        raise Void(str(error)) from None
    finally:
        joiner.kill()
        joiner.wait()
        del rig.joined[JOINER]
    began = own.get("resumable_begun_total", 0)
    return f"a node joined beside {count} parked uploads and began {began}; {after - before} resumed at the others"


async def _resumed(rig: Rig) -> int:
    """How many requests have resumed an upload at the stack's nodes since they started."""
    pages = await asyncio.gather(*(numbers(rig.session, node.url) for node in rig.record().nodes))
    return sum(page.get("resumed_total", 0) for page in pages)


async def _ended(process: "subprocess.Popen[bytes]") -> bool:
    return process.poll() is not None


async def beside(run: Run, rig: Rig, rng: random.Random) -> str:
    """Run another fault while uploads are parked."""
    _, count = await holder(rig)
    return f"{await run(rig, rng)}, beside {count} parked uploads"


def _beside(name: str, target: str, run: Run, stores: tuple[Kind, ...] = BOTH) -> Fault:
    return Fault(f"{name} beside parked uploads", target, partial(beside, run), stores)


FAULTS = (
    Fault("holder killed", "node", killed),
    Fault("holder stopped", "node", stopped),
    Fault("holder drained", "node", drained),
    Fault("node joins", "node", joins),
    _beside("balancer killed", "balancer", partial(strikes.kill, "balancer")),
    _beside("balancer stopped", "balancer", partial(strikes.stop, "balancer")),
    _beside("redis killed", "redis", strikes.redis_kill),
    _beside("redis restarted empty", "redis", partial(strikes.redis_kill, empty=True)),
    _beside("redis flushed", "redis", strikes.redis_flush),
    _beside("redis half-open", "redis", partial(strikes.poisoned, lambda _: Blackhole(), "redis")),
    _beside("minio slow", "store", partial(strikes.poisoned, lambda rng: Slow(rng.uniform(0.2, 0.8)), "store"), S3),
    _beside("minio killed", "store", strikes.minio_kill, S3),
    _beside("disk full", "store", strikes.disk_full, ("file",)),
    _beside("phones reset", "door", partial(strikes.cut_all, "door")),
    _beside(
        "answers to PATCHes lost", "door", partial(strikes.poisoned, lambda _: Swallowed(PATCH), "door", for_s=5.0)
    ),
)


def chosen_by(rng: random.Random, store: Kind) -> tuple[Fault, ...]:
    """One to three faults of different targets, the first of them of a node in two of three rounds."""
    possible = [fault for fault in FAULTS if store in fault.stores]
    found: dict[str, Fault] = {}
    if rng.random() < 0.67:
        found["node"] = rng.choice([fault for fault in possible if fault.target == "node"])
    for _ in range(rng.randint(1, 2)):
        fault = rng.choice(possible)
        found.setdefault(fault.target, fault)
    return tuple(found.values())
