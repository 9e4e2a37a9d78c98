"""The live view in a real browser: of a stack whose node is killed in a replay, and of programs with hostile names."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deploy.watching import view
from deploy.watching.feed import Feed
from deploy.watching.serving import Service, frame, served
from tests.chromium import CHROMIUM, Tab, tab
from tests.e2e.test_stack_record import bench
from tests.e2e.test_stack_restart import ROOT, stack
from tests.ports import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH")]

BACKGROUND = "getComputedStyle(document.body).backgroundColor"
EVENTS = "document.getElementById('events').textContent"


@asynccontextmanager
async def watching(state: Path) -> AsyncIterator[str]:
    """`deploy watch` of the stack in this directory; its page."""
    port = free_port()
    words = ("--stack", str(state / "stack.json"), "--listen", f"127.0.0.1:{port}")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy", "watch", *words), cwd=ROOT, stderr=asyncio.subprocess.PIPE
    )
    try:
        assert process.stderr is not None
        async with asyncio.timeout(90):
            assert b"the live view is at" in await process.stderr.readline()
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        _, said = await process.communicate()
        assert process.returncode == 0, said.decode()


async def fits(page: Tab, width: int) -> None:
    """In light and dark the page is as wide as the screen, and the colours differ."""
    colours = set()
    for dark in (False, True):
        await page.look(width=width, height=900, dark=dark)
        await page.until(f"document.documentElement.clientWidth == {width}")
        assert await page.value("document.documentElement.scrollWidth") <= width
        colours.add(await page.value(BACKGROUND))
    assert len(colours) == 2


async def test_a_kill_in_a_replay_is_seen_on_the_page(tmp_path: Path) -> None:
    """Uploads, the node's end in words, both balancers; nothing is blocked by the policy, and nothing is too wide."""
    trace, state = tmp_path / "t.jsonl.gz", tmp_path / "stack"
    shape = ("--posters", "40", "--span-s", "12", "--median-s", "3", "--capture-s", "0.5", "--fanout-s", "0.5")
    await bench("synth", *shape, "--photo-bytes", "20000", "--window-s", "30", str(trace))
    async with stack(state) as ready, watching(state) as url, tab(tmp_path / "profile") as page:
        await page.call("Page.navigate", url=url)
        await page.until("document.querySelectorAll('#nodes tbody tr').length == 2", 90)
        doors = [word for balancer in ready["balancers"] for word in ("--target", balancer["url"])]
        async with asyncio.TaskGroup() as group:
            replay = group.create_task(bench("replay", str(trace), *doors, "--report", str(tmp_path / "report.json")))
            await page.until("latest.course.some((row) => row[2] > 0)")  # accepted a second
            os.kill(ready["nodes"][0]["pid"], signal.SIGKILL)
            await page.until(f"/node a (ejected|does not answer|is another process)/.test({EVENTS})")
            await replay
        assert await page.value("document.querySelectorAll('#balancers tbody tr').length") == 2
        assert await page.value("document.querySelectorAll('#flow path.curve').length") >= 2
        for width in (400, 1600):
            await fits(page, width)
        assert page.console == []


async def test_names_of_strangers_are_text_and_the_policy_holds(tmp_path: Path) -> None:
    """Markup in a name is shown, not obeyed; the page cannot reach another server, as the control shows."""
    feed, name = Feed(), "<img src=x onerror=document.title=1>"
    service = Service(feed)
    hostile = view.View(
        at=1_800_000_000.0,
        nodes=(view.Node(name=name, state=name, why=name),),
        events=(view.Event(at=1_800_000_000.0, words=name),),
        problems=(name,),
    )
    feed.publish(frame(hostile))
    async with served("127.0.0.1", free_port(), service, feed) as url, tab(tmp_path) as page:
        await page.call("Page.navigate", url=url)
        await page.until("document.querySelectorAll('#nodes tbody tr').length == 1", 90)
        assert name in await page.value(EVENTS)
        assert await page.value("document.images.length") == 0
        assert await page.value("document.title") == "snapsurge live"
        assert page.console == []
        await page.value(f"fetch('http://127.0.0.1:{free_port()}/').catch(() => 0); 0")
        async with asyncio.timeout(30):
            while not [line for line in page.console if "Content Security Policy" in line]:  # noqa: ASYNC110 - Chromium's
                await asyncio.sleep(0.1)
