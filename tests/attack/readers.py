"""Rows 7 and 9: reads that cost the stack more than they cost the reader."""

import asyncio
import base64
import contextlib
import io
import random
import re
import socket
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from tests.attack.stage import Outcome, Stage, bearer, head
from tests.faults.evidence import proven
from tests.faults.phones import Pair
from tests.faults.rig import Rig

READERS = 600
NODE_MIB_MAX = 200
HELD_S = 5.0  # the least time for which all connections stay open
GETTERS = 240
MOMENTS = 1200
EARLIER_S = 3 * 24 * 3600
UNANSWERED_MAX = 0.1
PAUSE_S = 3.0  # between two requests of a getter, so that the rate is low even when answers are quick


async def unread_renditions(stage: Stage, rng: random.Random, *, harmful: bool, readers: int = READERS) -> Outcome:
    """Open connections that request one large rendition and do not read it; the control's request nothing."""
    moment = await stage.moment()
    user, path = f"{stage.name}-r", "/livez"
    if harmful:
        post = await stage.posted(moment.id, user, await asyncio.to_thread(noise, rng))
        links = (await stage.until_ready(post["id"], user, 60.0))["links"]
        path = links.get("front-full") or links["front-feed"]  # `full` may be rendered later
    before, most, kernel = node_mib(stage), 0.0, 0
    opened: list[socket.socket] = []
    try:
        for number in range(readers):
            opened.append(await deaf(stage, number, head("GET", path, user, {}) if harmful else b""))
            if number % 20 == 19:
                most, kernel = max(most, node_mib(stage)), max(kernel, kernel_mib())
                await asyncio.sleep(0.05)
        deadline = max(stage.ends, time.monotonic() + HELD_S)
        while time.monotonic() < deadline:
            most, kernel = max(most, node_mib(stage)), max(kernel, kernel_mib())
            await asyncio.sleep(0.5)
    finally:
        for one in opened:
            one.close()
    broken = [f"a node grew from {before:.0f} to {most:.0f} MiB, {NODE_MIB_MAX} is the bound"]
    if stage.mixed or most <= max(NODE_MIB_MAX, before + 20):
        broken = []
    said = f"{len(opened)} connections that read nothing, the largest node {before:.0f} MiB before, {most:.0f} then"
    return Outcome(f"{said}, {kernel} MiB of TCP in the kernel", tuple(broken))


def noise(rng: random.Random) -> Pair:
    """A pair of noise pictures, whose renditions are as large as possible."""
    pixels = np.random.default_rng(rng.getrandbits(32)).integers(0, 256, (1500, 2000, 3), dtype=np.uint8)
    photos = []
    for quality in (88, 80):
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "JPEG", quality=quality)
        photos.append(out.getvalue())
    return Pair(*photos)


async def deaf(stage: Stage, number: int, request: bytes) -> socket.socket:
    """A connection with the smallest receive buffer, which sends the request and does not read."""
    url = stage.balancers[number % len(stage.balancers)]
    one = socket.socket()
    one.setblocking(False)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(10):
        await loop.sock_connect(one, ("127.0.0.1", int(url.rpartition(":")[2])))
        await loop.sock_sendall(one, request)
    return one


def node_mib(stage: Stage) -> float:
    """Resident memory in MiB of the node with the most."""
    sizes = [0]
    for pid in stage.rig.pids("node"):
        with contextlib.suppress(psutil.NoSuchProcess):
            sizes.append(psutil.Process(pid).memory_info().rss)
    return max(sizes) / 2**20


def kernel_mib() -> int:
    """The kernel's TCP memory on this machine, in MiB."""
    pages = re.search(r"^TCP: .* mem (\d+)", Path("/proc/net/sockstat").read_text(), re.MULTILINE)
    return int(pages[1]) * 4096 // 2**20 if pages else 0


async def unknown_posts(stage: Stage, rng: random.Random, *, harmful: bool, getters: int = GETTERS) -> Outcome:
    """GET posts that never existed, with ids of both forms, and a deleted post; the control GETs an existing post."""
    moment, user = await stage.moment(), f"{stage.name}-g"
    pair = stage.camera.pair(rng)
    known = await stage.posted(moment.id, user, pair)
    if harmful:
        await stage.ask("DELETE", f"/v1/posts/{known['id']}", user)
    answers: Counter[int] = Counter()

    async def get(number: int) -> None:
        own = random.Random(f"{user}{number}")
        await asyncio.sleep(own.uniform(0, PAUSE_S))
        while stage.lasts:
            name = base64.b32encode(own.randbytes(16)).decode().rstrip("=").lower()
            name = own.choice((name, f"{name}-{moment.id}", known["id"])) if harmful else known["id"]
            status, _ = await stage.ask("GET", f"/v1/posts/{name}", f"{user}{number % 8}", door=number)
            answers[status] += 1
            await asyncio.sleep(PAUSE_S)

    async with asyncio.TaskGroup() as group:
        for number in range(getters):
            group.create_task(get(number), name=f"{user}{number}")
    moments = await stage.rig.redis.zcard("snapsurge:moments")
    said = f"{getters} getters, {moments} moments, answers {dict(answers)}"
    unanswered = sum(count for status, count in answers.items() if status in {0, 500, 502, 503, 504})
    broken = [f"{unanswered} of {answers.total()} GETs of what is not there had no answer of that"]
    if stage.mixed or unanswered <= UNANSWERED_MAX * answers.total():
        broken = []
    return Outcome(proven(answers.total() > 0, said), tuple(broken))


async def old_moments(rig: Rig, count: int = MOMENTS) -> None:
    """Create `count` moments that fired three days ago, once for each rig."""
    made = int(await rig.redis.get("attack:moments") or 0)
    fired = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() - EARLIER_S))
    url, limit = f"{rig.record().balancers[0].url}/v1/moments", asyncio.Semaphore(8)
    headers = {"Authorization": f"Bearer {bearer('attack-ops', 'ops')}"}

    async def create(number: int) -> None:
        asked = {"region": f"attack-{number}", "fires_at": fired}
        said = ""
        for _ in range(5):
            async with limit, rig.session.post(url, json=asked, headers=headers) as answer:
                said = await answer.text()
            if answer.status == 201:
                return
            await asyncio.sleep(1.0)
        raise AssertionError(said)

    async with asyncio.TaskGroup() as group:
        for number in range(made, count):
            group.create_task(create(number), name=f"moment {number}")
    await rig.redis.set("attack:moments", max(made, count))
