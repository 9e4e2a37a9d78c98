"""`demo`: starts a stack, replays the bundled burst to a moment, kills one node half-way, and prints a report.

It succeeds only when bench found every promise kept and the kill is proven. At the end it saves one composite picture
to look at.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

import aiohttp
import msgspec
import psutil
from rich.console import Console

from . import ready
from .config import Config
from .local import LocalStack, running
from .plan import NodePlan, Options
from .replay import Report, half_s, read_report, replaying
from .tokens import token

POLL_S: Final = 0.05
# The supervisor starts the next process after 0.2 s, which serves within seconds; the rest is for a busy machine.
COME_BACK_S: Final = 30.0
TOKEN_TTL_S: Final = 3600
# Sender and stack share the machine, so the demo does not measure latency, and a slow machine sends the burst later
# than the trace says. The demo proves that nothing is lost, which does not depend on the pace. Therefore the summary
# reports the lag, and only a lag of a minute fails; `bench` keeps the strict limit.
LAG_ALLOWED: Final = {"SNAPSURGE_BENCH_LAG_P99_MAX_MS": "60000"}
# The SOI marker and the first byte of the next one: every JPEG begins with them.
JPEG: Final = b"\xff\xd8\xff"


class DemoFailed(Exception):
    """A step of the demo failed; the text says which."""


class Kill(msgspec.Struct, frozen=True, kw_only=True):
    """A node that was killed and serves again; `after_s` counts from the moment, `back_s` from the kill."""

    node: str
    old_pid: int
    new_pid: int
    after_s: float
    back_s: float

    def words(self) -> str:
        """The kill as one line of text."""
        return (
            f"node {self.node} (pid {self.old_pid}) killed by SIGKILL {self.after_s:.1f} s into the burst; "
            f"it served again {self.back_s:.1f} s later as pid {self.new_pid}"
        )


class Moment(msgspec.Struct, frozen=True):
    """The field of a moment that the demo uses."""

    fires_at: datetime


class Door:
    """A client of the service, with a token of its own."""

    def __init__(self, session: aiohttp.ClientSession, local: LocalStack) -> None:
        self._session, self._local = session, local

    async def fires_at(self, moment_id: str) -> float:
        """When the moment fires, in unix seconds; DemoFailed when the balancer does not answer with it."""
        body = await self._get(f"{self._local.targets[0]}/v1/moments/{moment_id}")
        try:
            return msgspec.json.decode(body, type=Moment).fires_at.timestamp()
        except msgspec.MsgspecError as error:
            raise DemoFailed(f"moment {moment_id} says no time: {error}") from error

    async def picture(self, url: str) -> bytes:
        """Get a JPEG; DemoFailed when the answer is not a JPEG."""
        body = await self._get(url)
        if not body.startswith(JPEG):
            raise DemoFailed(f"{url} is no JPEG")
        return body

    async def _get(self, url: str) -> bytes:
        bearer = token(self._local.plan.secret, "demo", "ops", now=time.time(), ttl_s=TOKEN_TTL_S)
        try:
            async with self._session.get(url, headers={"Authorization": f"Bearer {bearer}"}) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise DemoFailed(f"GET {url}: {error}") from error
        if answer.status != 200:
            raise DemoFailed(f"GET {url} answered {answer.status}: {body[:200].decode(errors='replace')}")
        return body


async def kill_node(local: LocalStack, node: NodePlan, session: aiohttp.ClientSession, after_s: float) -> Kill:
    """Send SIGKILL to a node and wait until another process serves in its place; DemoFailed after `COME_BACK_S`."""
    old, began = local.pid(node.program), time.monotonic()
    os.kill(old, signal.SIGKILL)
    try:
        async with asyncio.timeout(COME_BACK_S):
            while True:
                # The proof of the kill: the killed process has ended, and another one serves under the node's name and
                # address.
                replaced = local.pid(node.program) != old and not psutil.pid_exists(old)
                if replaced and await ready.serves(session, f"{node.url}/readyz"):
                    break
                await asyncio.sleep(POLL_S)
    except TimeoutError as error:
        raise DemoFailed(f"node {node.id} did not come back in {COME_BACK_S:.0f} s") from error
    new, back_s = local.pid(node.program), time.monotonic() - began
    return Kill(node=node.id, old_pid=old, new_pid=new, after_s=after_s, back_s=back_s)


async def burst(
    local: LocalStack, trace: Path, middle_s: float, report: Path, show: Callable[[str], None]
) -> tuple[int, Kill | None]:
    """Replay the trace and kill a node `middle_s` after the moment; bench's exit code, and the kill if it happened."""
    node = local.plan.nodes[len(local.plan.nodes) // 2]
    async with (
        aiohttp.ClientSession() as session,
        replaying(local, trace, report, LAG_ALLOWED) as replay,
        asyncio.TaskGroup() as group,
    ):
        follow = group.create_task(replay.follow(show), name="bench")
        moment_id = await replay.moment_id
        if moment_id is None:
            # Bench ended before it opened a moment; its exit code says why.
            return await follow, None
        fires_at = await Door(session, local).fires_at(moment_id)
        await asyncio.sleep(max(0.0, fires_at + middle_s - time.time()))
        # Bench has ended early: a kill would hit no burst.
        if follow.done():
            return follow.result(), None
        show(f"demo: half of the burst is sent; killing node {node.id} (pid {local.pid(node.program)})")
        kill = await kill_node(local, node, session, time.time() - fires_at)
        show(f"demo: {kill.words()}")
        return await follow, kill


async def demo(options: Options, folder: Path, config: Config, *, trace: Path, report: Path, fresh: bool) -> int:
    """Run the demo; 0 only when bench passed, every accepted pair was rendered or rejected, and the kill happened."""
    # No colours and no line breaks of rich's own: people copy addresses and paths from this output.
    console = Console(highlight=False, soft_wrap=True)

    def show(text: str) -> None:
        # A path or an error may contain square brackets, which rich would read as markup.
        console.print(text, markup=False)

    middle_s = half_s(trace)
    show(f"demo: starting the stack (state in {folder})")
    async with running(options, folder, config, say=lambda text: show(f"demo: {text}"), fresh=fresh) as local:
        show(f"demo: {len(local.plan.nodes)} nodes behind {' and '.join(local.targets)}, store {local.plan.store}")
        code, kill = await burst(local, trace, middle_s, report, show)
        found = read_report(report)
        # Before the drain, because the picture is read through a balancer.
        picture = await save_picture(local, found)
        show("demo: draining the stack")
    show(summary(found, kill, code, report, picture))
    return int(not kept(found, kill, code))


async def save_picture(local: LocalStack, report: Report) -> Path | None:
    """Save one composite as `composite.jpg` in the state directory; None when no post is ready."""
    if report.composite_url is None:
        return None
    async with aiohttp.ClientSession() as session:
        body = await Door(session, local).picture(report.composite_url)
    path = local.state / "composite.jpg"
    path.write_bytes(body)
    return path


def kept(report: Report, kill: Kill | None, code: int) -> bool:
    """Whether bench found every promise kept, a node was killed, and every accepted pair was rendered or rejected."""
    return code == 0 and kill is not None and report.ready + report.rejected == report.accepted


def pace(lag_ms: float | None) -> str:
    """How far the sender was behind the trace, because a slow machine sends a flatter burst than the recorded one."""
    if lag_ms is None:
        return "nothing was sent"
    return f"the sender ran up to {lag_ms / 1000:.1f} s (p99) behind the trace; it shares this machine with the stack"


def summary(report: Report, kill: Kill | None, code: int, path: Path, picture: Path | None) -> str:
    """The report of the demo, in a few lines of text."""
    broken = {"lost": report.lost, "half": report.half, "doubled": report.doubled, "wrongly late": report.wrongly_late}
    rows = {
        "pairs": f"{report.offered} offered, {report.accepted} accepted, {report.ready} ready",
        "promises": ", ".join(f"{count} {name}" for name, count in broken.items()),
        "pace": pace(report.lag_ms.p99),
        "kill": kill.words() if kill else "no node was killed",
        "bench": f"exit code {code}, report in {path}",
        "a composite": str(picture) if picture else "none",
    }
    verdict = "nothing was lost" if kept(report, kill, code) else "FAILED"
    return "\n".join([f"demo: {verdict}", *(f"  {name:<12} {text}" for name, text in rows.items())])
