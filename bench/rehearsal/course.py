"""The course of a rehearsal: the burst without a fault, then once for each fault, with every program watched."""

import asyncio
import contextlib
import datetime as dt
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from ..clock import Clock
from ..command import first
from ..files import read_json
from ..peers.deployed import StackError
from ..peers.started import ROOT
from ..service import Service
from .faults import Fault, NotStruck, Scene
from .matrix import CALM, Counts, Trial, judged
from .scrapes import EVERY_S, SCALING, UP, Scrape, Scraper
from .sightings import errors_a_second, recovered_s, sighted
from .stack import Place

ERRORS: Final = "snapsurge_lb_requests_total{status=5xx}"
NODE_UP: Final = "snapsurge_lb_node_up"
CONTROL_S: Final = 6.0  # seconds of control before a fault that begins before the burst
AFTER_S: Final = 3.0  # seconds to go on watching when the replay has ended
SEEN_S: Final = 30.0  # a metric that moves later after the end of a fault did not see it
WHOLE_S: Final = 180.0
WORDS_MAX: Final = 300


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """A burst and what was watched meanwhile: when the moment fired, when a fault began and ended, and its evidence."""

    fires_at: float
    began: float
    ended: float
    evidence: str
    scrapes: tuple[Scrape, ...]
    counts: Counts


class Rehearsal:
    """All trials of one trace at one stack; `say` tells a person how far it is."""

    def __init__(
        self, trace: Path, peak_s: float, place: Place, folder: Path, session: aiohttp.ClientSession, service: Service,
        clock: Clock, say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._trace, self._peak_s, self._place, self._folder = trace, peak_s, place, folder
        self._session, self._service, self._clock, self._say = session, service, clock, say
        self._calm: Watched | None = None

    async def calm(self) -> Trial:
        """The burst without a fault; it must come before the trials."""
        self._calm = watched = await self._burst(None)
        return judged(CALM, watched.counts, "", (), None)

    async def trial(self, fault: Fault) -> Trial:
        """The burst with a fault; void when the fault did not happen or the burst could not be sent."""
        if self._calm is None:
            raise RuntimeError("the burst without a fault comes first")
        if why := fault.lacking(self._place.record()):
            return Trial(fault=fault.name, result="not possible here", why=why)
        void = ""
        try:
            found = await self._burst(fault)
        except* NotStruck as errors:
            void = str(first(errors))
        if void:
            return Trial(fault=fault.name, result="void", why=void)
        # The same second of the burst without a fault: what moved then moves with the burst.
        calm_began = self._calm.fires_at + found.began - found.fires_at
        until = found.ended + SEEN_S
        seen = sighted(found.scrapes, found.began, until, self._calm.scrapes, calm_began)
        most = errors_a_second(self._calm.scrapes, ERRORS)
        recovery_s = recovered_s(found.scrapes, found.began, found.ended, ERRORS, most)
        return judged(fault.name, found.counts, found.evidence, seen, recovery_s)

    async def _burst(self, fault: Fault | None) -> Watched:
        """One burst; NotStruck at its end when the fault did not happen."""
        scraper = Scraper(self._place.metrics(), self._session, self._service, self._clock)
        # A fault of the trial before must be over, or it would count for this one.
        await self._whole(scraper)
        peak = asyncio.Event()
        scene = Scene(self._place, self._session, self._clock, peak)
        async with asyncio.TaskGroup() as group:
            follow = group.create_task(scraper.follow(), name="scrape")
            strike: asyncio.Task[tuple[float, float, str | NotStruck]] | None = None
            if fault and fault.begins == "before":
                await self._clock.sleep(CONTROL_S)
                strike = group.create_task(self._strike(fault, scene), name=fault.name)
            async with self._replaying() as (fires_at, ended, report):
                await self._clock.sleep(fires_at + self._peak_s - self._clock.now())
                peak.set()
                if fault and not strike:
                    strike = group.create_task(self._strike(fault, scene), name=fault.name)
                await ended
                counts = _counts(report)
            now = fires_at + self._peak_s
            began, over, evidence = await strike if strike else (now, now, "")
            await self._clock.sleep(AFTER_S)
            follow.cancel()
        if isinstance(evidence, NotStruck):
            raise evidence
        return Watched(
            fires_at=fires_at, began=began, ended=over, evidence=evidence, scrapes=tuple(scraper.scrapes), counts=counts
        )

    async def _strike(self, fault: Fault, scene: Scene) -> tuple[float, float, str | NotStruck]:
        """When the fault began and ended, and its evidence, or why there is none."""
        began = self._clock.now()
        self._say(f"{fault.name}: begins")
        try:
            evidence: str | NotStruck = await fault.strike(scene)
        except NotStruck as error:
            evidence = error
        self._say(f"{fault.name}: {evidence}")
        return began, self._clock.now(), evidence

    @contextlib.asynccontextmanager
    async def _replaying(self) -> AsyncIterator[tuple[float, "asyncio.Task[int]", Path]]:
        """Start a replay; yields the Unix second of its moment, its end, and where its report will be."""
        report = self._folder / "report.json"
        report.unlink(missing_ok=True)
        targets = (word for one in self._place.record().balancers for word in ("--target", one.url))
        words = (str(self._trace), *targets, "--report", str(report), "--stack", str(self._place.file))
        # A program of its own, so that watching and striking cost its clock nothing.
        running = await asyncio.create_subprocess_exec(
            *(sys.executable, "-u", "-m", "bench", "replay", *words),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            fires_at = await _fires_at(running)
            async with asyncio.TaskGroup() as group:
                yield fires_at, group.create_task(_ended(running), name="replay"), report
        finally:
            if running.returncode is None:
                running.kill()
                await running.wait()

    async def _whole(self, scraper: Scraper) -> None:
        """Wait until every program answers, every node is healthy and the queue is empty; else StackError."""
        deadline = self._clock.now() + WHOLE_S
        while lacks := _lacking((await scraper.look()).values):
            if self._clock.now() > deadline:
                raise StackError(f"the stack is not whole after {WHOLE_S:.0f} s: {lacks}")
            await self._clock.sleep(EVERY_S)


def _lacking(values: dict[tuple[str, str], float]) -> str:
    """Why a burst would not meet a whole stack; empty when it would."""
    for (program, name), value in values.items():
        if name == UP and not value and not program.startswith("worker"):  # workers come and go with the load
            return f"{program} does not answer"
        if name.startswith(NODE_UP) and not value:
            return f"{program} does not count {name.removeprefix(NODE_UP)} as healthy"
    waiting = values.get((SCALING, "ready"), 0.0)
    return f"{waiting:.0f} jobs wait" if waiting else ""


async def _fires_at(running: asyncio.subprocess.Process) -> float:
    """The Unix second of the moment, from the line in which the replay names it; NotStruck when it names none."""
    said = ""
    while running.stdout and (line := (await running.stdout.readline()).decode(errors="replace")):
        said += line
        if line.startswith("moment "):
            return dt.datetime.fromisoformat(line.split()[-1]).timestamp()
    raise NotStruck(f"the replay did not begin: {said.strip()[-WORDS_MAX:]}")


async def _ended(running: asyncio.subprocess.Process) -> int:
    """Read what the replay says until it ends; its exit code."""
    while running.stdout and await running.stdout.readline():
        pass
    return await running.wait()


def _counts(report: Path) -> Counts:
    try:
        return read_json(report, Counts, "report of a replay", NotStruck)
    except NotStruck as error:
        raise NotStruck(f"the replay left no report: {error}") from error
