"""Asks every program, and looks at store and Redis; what does not answer in time is a fact too. Judges nothing.

`GET` only.
"""

import asyncio
import contextlib
import math
import os
import re
import shutil
import signal
import time
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from .. import servers
from ..config import Environment
from .cluster import forwarded
from .facts import About, Facts, Folder, Inspection, Program, Row
from .rehearsed import need_bytes, rehearsal
from .targets import INSPECT, Target, Where

LOOKS_MAX: Final = 20  # at a clock, while there is time: the quickest answer counts
LOOKS_S: Final = 4.0
SHARP_MS: Final = 10.0  # good enough to look no further
AT_ONCE: Final = 16  # each may take a process of kubectl
SPARE_S: Final = 2.0  # for this program to begin and to end
CLEAN_S: Final = 2.0  # for `inspect` to delete what it made, and to be killed
SWEEP_BEHIND: Final = b"snapsurge_sweep_behind_seconds"
ANSWER_BYTES_MAX: Final = 16 * 2**20


class Asking:
    """Asks programs until `deadline` on the loop's clock; each has half of that time."""

    def __init__(self, session: aiohttp.ClientSession, deadline: float) -> None:
        self._session = session
        self._deadline = deadline
        # Half, so that a program that does not answer leaves time for those that wait for a place, and for the nodes
        # that balancers name.
        self._each_s = (deadline - asyncio.get_running_loop().time()) / 2
        self._places = asyncio.Semaphore(AT_ONCE)

    async def program(self, target: Target) -> Program:
        """What one program says."""
        why = target.error
        try:
            if not why:
                async with self._places:
                    until = min(self._deadline, asyncio.get_running_loop().time() + self._each_s)
                    async with asyncio.timeout_at(until), _way(target) as url:
                        return await self._told(target, url)
        except TimeoutError:
            why = "no answer in time"
        except (aiohttp.ClientError, OSError, msgspec.MsgspecError) as error:
            why = _reason(error)
        return Program(kind=target.kind or "balancer", name=target.name, address=target.place, error=why)

    async def _told(self, target: Target, url: str) -> Program:
        """What the program at this URL says."""
        about, ahead_ms, unsure_ms = await self._about(url)
        # Behind a URL may be any program.
        kind = target.kind or about.program
        name = target.name if target.kind else f"{kind} {target.name}"
        unready, rows, behind_s = "", tuple[Row, ...](), None
        if kind in {"balancer", "node"}:
            unready = await self._unready(url)
        if kind == "balancer":
            rows = msgspec.json.decode(await self._get(f"{url}/nodes"), type=tuple[Row, ...])
        if kind == "autoscaler":
            behind_s = _gauge(await self._get(f"{url}/metrics"), SWEEP_BEHIND)
        return Program(
            kind=kind,
            name=name,
            address=target.place,
            about=about,
            ready=not unready,
            unready=unready,
            rows=rows,
            ahead_ms=ahead_ms,
            unsure_ms=unsure_ms,
            sweep_behind_s=behind_s,
        )

    async def _about(self, url: str) -> tuple[About, float, float]:
        """What it says of itself, its clock against ours, and how wrong that may be, in milliseconds."""
        looks: list[tuple[float, float, About]] = []
        until = time.monotonic() + LOOKS_S
        while not looks or (len(looks) < LOOKS_MAX and time.monotonic() < until):
            began = time.time()
            about = msgspec.json.decode(await self._get(f"{url}/aboutz"), type=About)
            ended = time.time()
            # It reads its clock after it has read the request and before it sends the answer.
            # Half of the round trip, in milliseconds (500 of 1000): the clock was read at some time in it, the middle
            # is the best guess, and this is how wrong it may be.
            looks.append(((ended - began) * 500, about.now_ms - (began + ended) * 500, about))
            if looks[-1][0] <= SHARP_MS:
                break
        unsure_ms, ahead_ms, about = min(looks, key=lambda look: look[0])
        return about, ahead_ms, unsure_ms

    async def _unready(self, url: str) -> str:
        """Why it is not ready; empty if it is."""
        async with self._session.get(f"{url}/readyz") as answer:
            text = (await _whole(answer)).decode(errors="replace").strip()
            return "" if answer.status == 200 else f"not ready: {answer.status} {text[:200]}"

    async def _get(self, url: str) -> bytes:
        async with self._session.get(url) as answer:
            answer.raise_for_status()
            return await _whole(answer)


async def _whole(answer: aiohttp.ClientResponse) -> bytes:
    """The body, in however many pieces it comes; ClientPayloadError if it is longer than `ANSWER_BYTES_MAX`."""
    body = bytearray()
    async for piece in answer.content.iter_any():
        body += piece
        # The address may be that of something else, which sends without end.
        if len(body) > ANSWER_BYTES_MAX:
            raise aiohttp.ClientPayloadError(f"the answer is longer than {ANSWER_BYTES_MAX} bytes")
    return bytes(body)


def _gauge(page: bytes, name: bytes) -> float | None:
    """The value of a metric without labels; None if the page has none."""
    found = re.search(rb"^%s (\S+)$" % name, page, re.MULTILINE)
    with contextlib.suppress(ValueError):
        return float(found[1]) if found else None
    return None


def _way(target: Target) -> AbstractAsyncContextManager[str]:
    """The URL by which a program is reached, for as long as it is asked."""
    return forwarded(target.forward) if target.forward else nullcontext(target.url)


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientResponseError):
        old = ": it runs an older version" if error.status == 404 else ""
        return f"{error.request_info.url.path} was answered {error.status}{old}"
    return f"{type(error).__name__}: {error}"


async def programs(where: Where, deadline: float) -> tuple[Program, ...]:
    """All programs that are named, and the nodes that balancers name beside them."""
    # `Asking` has the deadline; a second one here would cut it short.
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
        asking = Asking(session, deadline)
        found = await asyncio.gather(*map(asking.program, where.targets))
        known = {target.place for target in where.targets}
        rows = {row.address: row for one in found for row in one.rows if row.address not in known}
        more = [Target(f"http://{address}", row.id, "node") for address, row in sorted(rows.items())]
        return (*found, *await asyncio.gather(*map(asking.program, more)))


async def inspection(where: Where, moment_id: str, deadline: float) -> Inspection:
    """What `processors inspect` prints, with the settings that are known over those of this process."""
    command = (*where.inspect, *(["--moment", moment_id] if moment_id else []))
    pipe = asyncio.subprocess.PIPE
    # A stack file knows the addresses of its store and Redis better than this shell.
    environment = {**Environment.current(), **where.environment}
    # A group of its own, because a kubectl may be a script that starts the real one.
    # It has the code of store, Redis and queue, and deletes again what it makes.
    process = await asyncio.create_subprocess_exec(
        *command, cwd=servers.ROOT, env=environment, stdout=pipe, stderr=pipe, process_group=0
    )
    talk = asyncio.gather(process.communicate())
    try:
        async with asyncio.timeout_at(deadline):
            # Shielded, because the output must still be read while the process is being ended: it blocks on a full
            # pipe.
            ((out, errors),) = await asyncio.shield(talk)
    except TimeoutError:
        return Inspection(error="store and Redis were not looked at in time")
    finally:
        await _ended(process)
        talk.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await talk
    try:
        return msgspec.json.decode(out, type=Inspection)
    except msgspec.MsgspecError:
        last = errors.decode(errors="replace").strip().splitlines()[-1:] or ["it printed nothing"]
        return Inspection(error=f"`processors inspect` could not run: {last[0][:300]}")


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Interrupt it and what it started, so that they delete what they made; kill them if they do not end."""
    for stop in (signal.SIGINT, signal.SIGKILL):
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, stop)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLEAN_S):
                await process.wait()


def clocked(found: Inspection, asked: tuple[Program, ...], where: Where) -> Inspection:
    """With the clocks of Redis against this machine's: those that were read elsewhere are against that machine's."""
    if where.inspect == INSPECT:
        return found
    machine = next((one for one in asked if one.name == where.inspects and one.about), None)
    ahead_ms, unsure_ms = (machine.ahead_ms, machine.unsure_ms) if machine else (0.0, math.inf)
    redis = tuple(
        msgspec.structs.replace(one, ahead_ms=one.ahead_ms + ahead_ms, unsure_ms=one.unsure_ms + unsure_ms)
        for one in found.redis
    )
    return msgspec.structs.replace(found, redis=redis)


async def gather(
    where: Where, *, moment_id: str = "", report: Path | None = None, plan: Path | None = None, within_s: float
) -> Facts:
    """Everything that could be found out within this time; ValueError for a plan that cannot be read."""
    need = need_bytes(plan) if plan else None
    # Ending `inspect` may take `CLEAN_S` twice: after the SIGINT, and after the SIGKILL.
    deadline = asyncio.get_running_loop().time() + within_s - 2 * CLEAN_S - SPARE_S
    asked, inspected = await asyncio.gather(programs(where, deadline), inspection(where, moment_id, deadline))
    disk, inspected = None, clocked(inspected, asked, where)
    if where.state:
        usage = shutil.disk_usage(where.state)
        disk = Folder(str(where.state), usage.free, usage.total)
        report = report or where.state / "rehearsal.json"
    return Facts(
        now_s=time.time(),
        programs=asked,
        inspection=inspected,
        rehearsal=rehearsal(report, time.time()),
        moment_id=moment_id,
        disk=disk,
        need_bytes=need,
    )
