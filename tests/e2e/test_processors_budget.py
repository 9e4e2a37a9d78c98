"""Dear and endless renders beside honest ones, with real workers: who pays, who waits, and what is left running."""

import asyncio
import os
import signal
import statistics
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import psutil
import pytest
from PIL import Image

from bench.contests import boxes
from processors.runs import OVERDUE_REASON
from storage.records import Photo, Post
from tests.e2e.test_processors_harness import Stack, photo, running, until
from tests.e2e.test_processors_hostile import inspected, png, posted, record, written

pytestmark = [pytest.mark.e2e, pytest.mark.alone]

HONEST = 16
SMALL = Photo(sha256="0" * 64, bytes=1, width=120, height=160, format="jpeg")


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """An empty stack."""
    async with running(tmp_path) as made:
        yield made


def bombs() -> dict[str, tuple[bytes, Photo, str]]:
    """Fronts by name, what their node saw, and the reason they are rejected for, or nothing."""
    arithmetic = written(Image.new("RGB", (1000, 1000)), "JPEG", progressive=True).replace(b"\xff\xc2", b"\xff\xca", 1)
    turned = boxes.picture(boxes.tile(Image.new("RGB", (1024, 1024)), 50, 420), 1024, 1, turns=60)
    dear = png(7000, 7000, 6, (b"\4" + bytes(4 * 7000)) * 7000)
    found = {}
    for number in range(2):
        found |= {
            f"arithmetic {number}": (arithmetic, SMALL, "arithmetic"),
            f"turned {number}": (turned, SMALL, "turns an image"),
            # Twice two CPU seconds of which the header told nothing: what the search has not found.
            f"unknown {number}": (dear, SMALL, OVERDUE_REASON),
            f"dear {number}": (dear, inspected(dear, SMALL), ""),
        }
    return found


async def ends(stack: Stack, posts: Mapping[str, str]) -> tuple[dict[str, Post], dict[str, float]]:
    """Every post's record, and when it was there, in seconds from now."""
    began, records, at = time.monotonic(), dict[str, Post](), dict[str, float]()

    async def all_ended() -> bool:
        for name in posts.keys() - records.keys():
            found = await record(stack, posts[name])
            if found:
                records[name], at[name] = found, time.monotonic() - began
        return len(records) == len(posts)

    await until(all_ended, stack.log)
    return records, at


async def test_bombs_pay_for_themselves_and_wait_behind_honest_pairs(stack: Stack) -> None:
    """Each ends with its reason or ready; honest ones overtake them, no neighbour is charged, none is dead."""
    workers = [stack.start() for _ in range(2)]
    good = photo()
    control = {f"control {number}": await posted(stack, f"control {number}", good) for number in range(HONEST)}
    _, alone = await ends(stack, control)
    hostile = await asyncio.to_thread(bombs)
    attackers = {}
    for name, (data, seen, _) in hostile.items():
        back = data if name.startswith("unknown") else good
        attackers[name] = await posted(stack, name, data, seen, back)
    honest = {f"honest {number}": await posted(stack, f"honest {number}", good) for number in range(HONEST)}

    served, at = await ends(stack, honest)
    overtaken = [name for name, post_id in attackers.items() if await record(stack, post_id) is None]
    records, _ = await ends(stack, attackers)

    for name, (_, _, reason) in hostile.items():
        assert records[name].state == ("rejected" if reason else "ready"), (name, records[name].reason)
        assert reason in (records[name].reason or "")
    assert {one.state for one in served.values()} == {"ready"}
    assert statistics.median(at.values()) < 20 * statistics.median(alone.values())
    assert {name.split()[0] for name in overtaken} & {"dear", "unknown"}
    assert [await stack.counted(event) for event in ("dead", "lapsed", "refused")] == [0, 0, 0]
    assert not [name for name, post_id in honest.items() if f"render_pair:{post_id} failed" in stack.log()]
    assert [worker.poll() for worker in workers] == [None, None]


def renderer_of(pid: int) -> psutil.Process:
    """The one child of a worker."""
    (child,) = psutil.Process(pid).children()
    return child


async def test_a_renderer_that_is_killed_costs_nobody_a_photo(stack: Stack) -> None:
    """Again and again: the worker stays, its pair is tried in a new one."""
    worker = stack.start()
    posts = {str(number): await posted(stack, str(number), photo()) for number in range(6)}
    killed = 0
    while killed < 3:
        await stack.leased_by(worker)
        for child in psutil.Process(worker.pid).children():
            child.kill()
            killed += 1
        await asyncio.sleep(0.2)

    records, _ = await ends(stack, posts)

    assert {one.state for one in records.values()} == {"ready"}
    assert worker.poll() is None
    assert await stack.counted("dead") == 0
    assert "the render process ended with -9 (SIGKILL)" in stack.log()


async def test_a_worker_that_is_killed_leaves_no_renderer(stack: Stack) -> None:
    """Its renderer ends in the middle of a render, for nobody would hear of it."""
    worker = stack.start()
    dear = png(7000, 7000, 6, bytes((1 + 4 * 7000) * 7000))
    await posted(stack, "dear", dear, inspected(dear, SMALL))
    await stack.leased_by(worker)
    child = renderer_of(worker.pid)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()

    async def gone() -> bool:
        return not child.is_running() or child.status() == psutil.STATUS_ZOMBIE

    await until(gone, stack.log)


async def test_sigterm_lets_a_render_finish(stack: Stack) -> None:
    """The dearest pair that is honest ends ready, and worker and renderer are gone with 0."""
    worker = stack.start()
    dear = png(7000, 7000, 6, bytes((1 + 4 * 7000) * 7000))
    post_id = await posted(stack, "dear", dear, inspected(dear, SMALL))

    async def rendering() -> bool:
        leases = await stack.redis.hgetall("snapsurge:leases")
        return any(b":dear|" in lease for lease in leases.values())

    await until(rendering, stack.log)
    child = renderer_of(worker.pid)
    worker.terminate()

    assert await asyncio.to_thread(worker.wait, 40) == 0
    post = await record(stack, post_id)
    assert post
    assert post.state == "ready"
    assert not child.is_running()
