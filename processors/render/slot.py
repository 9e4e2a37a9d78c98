"""The render slot of a worker: a process of its own that renders one pair at a time, and whose end costs only its pair.

An order goes down the renderer's standard input, the intake object and the media object through an unnamed file that
both have open, the answer comes up its standard output. The renderer holds itself to a budget of CPU seconds that it
knows before it decodes (renderer.py): the kernel ends it by SIGPROF, and that is the photo's doing. Time on the wall is
only a far backstop, and the machine's doing, as is a SIGKILL from anybody. Every other death is a crash: a fault of
ours, which harms no other job. Waiting for the slot counts for nobody: a job that waits too long goes back as it came.

The renderer ends when its standard input does, so it never outlives its worker. A new one is started when one is
needed; one that cannot be started makes the worker useless (`broken`).
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, cast

import msgspec

from storage import intake, media
from storage.queue.jobs import DEAR
from storage.records import Post, accepted, flagged
from storage.zips import TAIL_BYTES

from ..metrics import Metrics
from ..retries import HandBack

log = logging.getLogger("snapsurge.processors.rendering")

ROOT: Final = Path(__file__).resolve().parents[2]
PROGRAM: Final = (sys.executable, "-m", "processors.render.renderer")
# Python, Pillow and libheif load in half a second of CPU.
START_S: Final = 30.0
END_S: Final = 2.0
STARTS_MAX: Final = 3
# What stays of the file between two pairs: the usual pair and its renditions; larger ones give their room back.
KEPT_BYTES: Final = 4 << 20
OVERDUE_REASON: Final = "the photos take more computing time than photos of their size and format do"


class Order(msgspec.Struct, frozen=True):
    """Render the intake object that lies in the file; `dear` says that it may cost more than most."""

    bytes: int
    whole: bool = True
    dear: bool = True


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """`ready`: waits for orders. `done`: the record, and the media object in the file. `dear`: not begun. `failed`."""

    outcome: Literal["ready", "done", "dear", "failed"]
    record: msgspec.Raw = msgspec.Raw(b"null")
    bytes: int = 0
    error: str = ""


class RenderOverdue(HandBack):
    """The pair used up its budget of CPU seconds: try it once more, beside other dear ones."""

    def __init__(self) -> None:
        super().__init__("a render used up its CPU seconds", queue=DEAR, fault=True)


class RenderDear(HandBack):
    """The pair is expected to cost more than most: it waits among its like."""

    def __init__(self) -> None:
        super().__init__("an expensive pair", queue=DEAR)


class SlotTaken(HandBack):
    """The slot was not free in time, or there is none any more."""


class RendererEnded(OSError):
    """Somebody killed the renderer, or the machine gave it too little time: an outage, for no photo can cause it."""


class RendererCrashed(Exception):
    """The renderer died of a signal of its own or left: a fault in a decoder, or of ours."""


class RenderFailed(Exception):
    """The renderer lives and says what went wrong: a fault of ours."""


class Rendering:
    """`async with Rendering(…)`: one slot. `timeout_s` bounds a render, `wait_s` the wait for the slot."""

    def __init__(self, metrics: Metrics, *, timeout_s: float, wait_s: float, program: Sequence[str] = PROGRAM) -> None:
        self._metrics = metrics
        self._timeout_s = timeout_s
        self._wait_s = wait_s
        self._program = program
        self._slot = asyncio.Lock()
        self._process: Process | None = None
        self._file = -1
        self.broken = False

    async def __aenter__(self) -> Self:
        self._file = _unnamed_file()
        try:
            await self._started()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            _stdin(self._process).close()
            await self._ended(self._process, END_S)
        os.close(self._file)

    @property
    def pid(self) -> int | None:
        """The renderer's process id, None while there is none."""
        return self._process.pid if self._process else None

    async def render(self, archive: bytes, *, whole: bool, dear: bool = True) -> tuple[Post, bytes]:
        """The record and the media object that follow from an intake object.

        RenderOverdue, RenderDear and SlotTaken hand the job back; RendererEnded is an outage, the others faults.
        """
        try:
            async with asyncio.timeout(self._wait_s):
                await self._slot.acquire()
        except TimeoutError:
            raise SlotTaken(f"no free render slot within {self._wait_s:g} s") from None
        try:
            process = await self._started()
            began = time.perf_counter()
            try:
                return await self._ordered(process, archive, Order(len(archive), whole, dear))
            finally:
                took = time.perf_counter() - began
                self._metrics.render.observe(took)
                self._metrics.busy_s += took
        finally:
            self._slot.release()

    async def _ordered(self, process: Process, archive: bytes, order: Order) -> tuple[Post, bytes]:
        """One order and its answer; whatever else happens ends the renderer."""
        try:
            os.pwrite(self._file, archive, 0)
            async with asyncio.timeout(self._timeout_s):
                answer = await self._asked(process, order)
            if answer is not None and answer.outcome == "done":
                body = os.pread(self._file, answer.bytes, 0)
                self._shrink(max(len(archive), answer.bytes))
                return msgspec.json.decode(answer.record, type=Post), body
        except TimeoutError:
            await self._killed(process)
            raise RendererEnded(f"no end of a render within {self._timeout_s:g} s of this machine") from None
        except BaseException:
            await self._killed(process)
            raise
        if answer is None:
            raise self._mourned(await self._ended(process, END_S))
        self._shrink(len(archive))
        raise RenderDear if answer.outcome == "dear" else RenderFailed(answer.error)

    async def _asked(self, process: Process, order: Order) -> Answer | None:
        """The answer; None when the renderer is gone."""
        _stdin(process).write(msgspec.json.encode(order) + b"\n")
        return await _answer(process)

    async def _started(self) -> Process:
        """The renderer; SlotTaken when none can be had, which is final."""
        if self._process is not None and self._process.returncode is None:
            return self._process
        for _ in range(0 if self.broken else STARTS_MAX):
            cause = await self._start()
            if cause is None and self._process is not None:
                return self._process
            log.error("a render process cannot be started: %s", cause)
        self.broken = True
        raise SlotTaken("no render process can be started")

    async def _start(self) -> str | None:
        """Start one and wait until it is ready; why it is not, else None."""
        try:
            process = self._process = await asyncio.create_subprocess_exec(
                *self._program,
                str(self._file),
                stdin=PIPE,
                stdout=PIPE,
                pass_fds=(self._file,),
                cwd=ROOT,
                start_new_session=True,  # a terminal's Ctrl-C is the worker's, which lets its renderer finish
            )
        except OSError as error:
            return str(error)
        try:
            async with asyncio.timeout(START_S):
                answer = await _answer(process)
        except BaseException as error:
            await self._killed(process)
            if isinstance(error, TimeoutError | msgspec.MsgspecError):
                return "it did not say that it is ready"
            raise
        return None if answer else f"it ended with {await self._ended(process, END_S)}"

    def _mourned(self, code: int) -> Exception:
        """What the renderer's end means for its pair."""
        self._metrics.renderers.labels(_cause(code)).inc()
        if code == -signal.SIGPROF:
            log.warning("a render used up its CPU seconds: its process was ended, the next pair gets a new one")
            return RenderOverdue()
        log.error("the renderer ended with %d (%s): its pair is tried again in a new one", code, _cause(code))
        if code == -signal.SIGKILL:
            return RendererEnded("the renderer was killed: short memory, or somebody's SIGKILL")
        return RendererCrashed(f"the renderer ended with {code}")

    async def _killed(self, process: Process) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        self._metrics.renderers.labels("given up").inc()
        await self._ended(process, END_S)

    async def _ended(self, process: Process, grace_s: float) -> int:
        """Its exit code; killed when it is here after the grace."""
        if process is self._process:
            self._process = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                return await process.wait()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        return await process.wait()

    def _shrink(self, used: int) -> None:
        if used > KEPT_BYTES:
            os.ftruncate(self._file, 0)


def overdue(archive: bytes) -> tuple[Post, bytes]:
    """The record of a pair that is rejected because it used up its budget again, and its media object."""
    receipt = intake.receipt_in(archive[-TAIL_BYTES:])
    post = flagged(accepted(receipt), receipt.late_by_ms)
    return media.pack(msgspec.structs.replace(post, state="rejected", reason=OVERDUE_REASON), {})


def _stdin(process: Process) -> asyncio.StreamWriter:
    return cast("asyncio.StreamWriter", process.stdin)


async def _answer(process: Process) -> Answer | None:
    """The next line, None where there is none."""
    line = await cast("asyncio.StreamReader", process.stdout).readline()
    return msgspec.json.decode(line, type=Answer) if line.endswith(b"\n") else None


def _cause(code: int) -> str:
    """A name for a death, for a metric's label."""
    return signal.Signals(-code).name if code < 0 else "exit"


def _unnamed_file() -> int:
    """A file without a name: in memory where the system has such, else on disk."""
    create: Any = getattr(os, "memfd_create", None)
    if create is not None:
        return int(create("pair"))
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
