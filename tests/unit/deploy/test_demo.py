"""The demo's own parts: the kill and its proof, the picture, the verdict. The whole of it runs in tests/e2e."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import psutil
import pytest
from aiohttp import web

from deploy.demo import JPEG, DemoFailed, Door, Kill, kept, kill_node, save_picture, summary
from deploy.local import LocalStack
from deploy.replay import Percentiles, Report

Stand = Callable[[], AbstractAsyncContextManager[LocalStack]]
NOTHING = Percentiles()
REPORT = Report(
    offered=10,
    accepted=9,
    ready=8,
    rejected=1,
    lost=0,
    half=0,
    doubled=0,
    wrongly_late=0,
    latency_ms=NOTHING,
    ready_ms=NOTHING,
    lag_ms=NOTHING,
    moment_id="m",
)
KILL = Kill(node="b", old_pid=11, new_pid=12, after_s=13.62, back_s=1.41)


@asynccontextmanager
async def service(answer: web.Response) -> AsyncIterator[str]:
    """A server that gives this answer to a GET with a token; its address."""

    async def handle(request: web.Request) -> web.Response:
        return answer if request.headers.get("Authorization", "").startswith("Bearer ") else web.Response(status=401)

    app = web.Application()
    app.router.add_get("/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_a_killed_node_is_gone_and_another_process_serves(stand: Stand) -> None:
    """The proof of the kill: two pids, the first of which no longer exists."""
    async with stand() as local, aiohttp.ClientSession() as session:
        node = local.plan.nodes[0]
        old = local.pid(node.program)
        kill = await kill_node(local, node, session, 13.6)

        assert (kill.node, kill.old_pid) == ("a", old)
        assert not psutil.pid_exists(kill.old_pid)
        assert psutil.pid_exists(kill.new_pid)
        assert kill.back_s > 0


async def test_one_composite_is_saved(stand: Stand) -> None:
    """Fetched with a token from where the report says, kept in the state directory."""
    async with stand() as local, service(web.Response(body=JPEG + b"...")) as url:
        path = await save_picture(local, msgspec.structs.replace(REPORT, composite_url=f"{url}/x"))
        assert path == local.state / "composite.jpg"
        assert path.read_bytes() == JPEG + b"..."
        assert await save_picture(local, REPORT) is None


@pytest.mark.parametrize(
    ("answer", "why"), [(web.Response(text="<html>"), "no JPEG"), (web.Response(status=404, text="gone"), "404: gone")]
)
async def test_what_is_no_picture_is_an_error(stand: Stand, answer: web.Response, why: str) -> None:
    """A demo without its picture has not shown what it promises."""
    async with stand() as local, service(answer) as url:
        with pytest.raises(DemoFailed, match=why):
            await save_picture(local, msgspec.structs.replace(REPORT, composite_url=f"{url}/x"))


async def test_a_service_that_is_not_there_is_an_error(stand: Stand) -> None:
    """The stand-in balancer has nobody at its door."""
    async with stand() as local, aiohttp.ClientSession() as session:
        with pytest.raises(DemoFailed, match=r"GET http://127\.0\.0\.1"):
            await Door(session, local).fires_at("m")


@pytest.mark.parametrize(("code", "kill", "good"), [(0, KILL, True), (1, KILL, False), (0, None, False)])
def test_the_verdict_needs_both_bench_and_the_kill(code: int, kill: Kill | None, good: bool) -> None:  # noqa: FBT001
    """A demo in which no node died proves nothing."""
    shown = summary(REPORT, kill, code, Path("/r.json"), None)

    assert ("nothing was lost" in shown) is good
    assert ("FAILED" in shown) is not good


def test_a_slow_sender_is_told_and_does_not_fail_the_demo() -> None:
    """A machine that sends the burst more slowly loses nothing by it; the reader learns that it did."""
    slow = msgspec.structs.replace(REPORT, lag_ms=Percentiles(50.0, 4_900.0, 7_539.5, 7_615.0))

    shown = summary(slow, KILL, 0, Path("/r.json"), None)

    assert "nothing was lost" in shown
    assert "up to 7.5 s (p99) behind the trace" in shown
    assert "nothing was sent" in summary(REPORT, KILL, 0, Path("/r.json"), None)


def test_a_pair_that_came_to_no_end_fails_the_demo() -> None:
    """Accepted, but neither rendered nor rejected, is not good enough."""
    assert kept(REPORT, KILL, 0)
    assert not kept(msgspec.structs.replace(REPORT, ready=7), KILL, 0)


def test_the_kill_is_told_in_one_line() -> None:
    """Who, when, and how long until it served again."""
    assert KILL.words() == (
        "node b (pid 11) killed by SIGKILL 13.6 s into the burst; it served again 1.4 s later as pid 12"
    )
