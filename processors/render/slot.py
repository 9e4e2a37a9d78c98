"""The render slot of a worker: a separate process, the renderer, that renders one pair at a time.

A crash of the renderer affects only its pair. The worker writes an order to the renderer's standard input and reads the
answer from its standard output; intake object and media object go through an unnamed file that both have open. How the
renderer ends decides who is at fault: the photos, an outage of the machine or of this process, or a fault of ours.

The worker starts a renderer when it needs one; when none can be started, the worker is `broken`.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self, cast

import msgspec

from storage import intake
from storage.photo.formats import DECODE_BYTES_MAX
from storage.queue.jobs import DEAR
from storage.records import Post
from storage.zips import Damaged

from ..metrics import ENDS, OTHER, Metrics
from ..retries import HandBack
from ..runs import UNKNOWN, Run
from .shared_file import put, taken, unnamed_file

log = logging.getLogger("snapsurge.processors.rendering")

ROOT: Final = Path(__file__).resolve().parents[2]
PROGRAM: Final = (sys.executable, "-m", "processors.render.renderer")
# Seconds for a renderer to start: Python, Pillow and libheif need half a second of CPU to load.
START_S: Final = 30.0
END_S: Final = 2.0
STARTS_MAX: Final = 3
# The file keeps this size between two pairs, enough for a usual pair; after a larger one it is truncated.
KEPT_BYTES: Final = 4 << 20


class Order(msgspec.Struct, frozen=True):
    """Render the intake object: the file's first `bytes`. `full`: with that rendition; `dear`: expensive pairs, too."""

    bytes: int
    full: bool = True
    dear: bool = True
    run: Run = UNKNOWN


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The renderer's answer.

    `ready`: it waits for orders. `done`: `record` has the post, and the first `bytes` of the file are the media object.
    `dear`: the pair is expensive and was not begun. `failed`: `error` says why; `unfit`: the same, for want of memory
    or because a system call failed; `damaged`: what arrived is no pair.
    """

    outcome: Literal["ready", "done", "dear", "failed", "unfit", "damaged"]
    record: msgspec.Raw = msgspec.Raw(b"null")
    bytes: int = 0
    error: str = ""


class RenderOverdue(HandBack):
    """The pair used up its budget of CPU seconds: try it once more, in the queue of expensive pairs."""

    def __init__(self) -> None:
        super().__init__("a render used up its CPU seconds", queue=DEAR, fault=True)


class RenderDear(HandBack):
    """The pair is expected to be expensive: move its job to the queue of expensive pairs."""

    def __init__(self) -> None:
        super().__init__("an expensive pair", queue=DEAR)


class SlotTaken(HandBack):
    """The slot was not free in time, or no renderer can be started."""


class RendererEnded(OSError):
    """The renderer got SIGKILL or reached the wall-clock timeout: an outage, because no photo can cause it."""


class SlotUnfit(OSError):
    """The renderer cannot render: it was replaced, and the pair is tried again. Another machine may do better."""


class RendererCrashed(Exception):
    """The renderer crashed by a signal or exited: a fault in a decoder or in our code."""


class RenderFailed(Exception):
    """The renderer reported an error and still runs: a fault in our code."""


class Rendering:
    """`async with Rendering(…)`: one render slot. `timeout_s` limits a render, `wait_s` the wait for the slot.

    `decode_bytes_max`: the memory that the renderer may take for one photo, besides its own.
    """

    def __init__(
        self,
        metrics: Metrics,
        *,
        timeout_s: float,
        wait_s: float,
        decode_bytes_max: int = DECODE_BYTES_MAX,
        program: Sequence[str] = PROGRAM,
    ) -> None:
        self._metrics = metrics
        self._timeout_s = timeout_s
        self._wait_s = wait_s
        self._decode_bytes_max = decode_bytes_max
        self._program = program
        self._slot = asyncio.Lock()
        self._process: Process | None = None
        self._file = -1
        self.broken = False

    async def __aenter__(self) -> Self:
        self._file = unnamed_file()
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
        """The renderer's process id; None while none runs."""
        return self._process.pid if self._process else None

    async def render(self, archive: bytes, *, full: bool, dear: bool = True, run: Run = UNKNOWN) -> tuple[Post, bytes]:
        """Render an intake object; its record and media object.

        RenderOverdue, RenderDear and SlotTaken return the job to a queue; RendererEnded, SlotUnfit and OSError are
        outages; RendererCrashed and RenderFailed are faults. zips.Damaged when the archive is no pair.
        """
        try:
            async with asyncio.timeout(self._wait_s):
                await self._slot.acquire()
        except TimeoutError:
            # Neither a fault nor an outage: the job goes back to its queue.
            raise SlotTaken(f"no free render slot within {self._wait_s:g} s") from None
        try:
            process = await self._started()
            began = time.perf_counter()
            try:
                return await self._ordered(process, archive, Order(len(archive), full, dear, run))
            finally:
                took = time.perf_counter() - began
                self._metrics.render.observe(took)
                self._metrics.busy_s += took
        finally:
            self._slot.release()

    async def _ordered(self, process: Process, archive: bytes, order: Order) -> tuple[Post, bytes]:
        """Send one order and handle its answer; on any other event, kill the renderer."""
        try:
            put(self._file, archive)
            async with asyncio.timeout(self._timeout_s):
                answer = await self._asked(process, order)
            if answer is not None and answer.outcome == "done":
                body = taken(self._file, answer.bytes)
                self._shrink(max(len(archive), answer.bytes))
                return msgspec.json.decode(answer.record, type=Post), body
            # Whose copy is damaged? The worker's: Damaged. Only the renderer's: an outage of that process, as a lack of
            # memory or a system call that fails is. It is replaced.
            if answer is not None and answer.outcome == "damaged":
                intake.unpack(archive)
            if answer is not None and answer.outcome in ("damaged", "unfit"):
                raise SlotUnfit(answer.error)  # noqa: TRY301 - below, the renderer is killed
        except TimeoutError:
            # Only a backstop: the budget is in CPU seconds, so wall-clock time runs out when the machine stands still.
            await self._killed(process)
            raise RendererEnded(f"render did not finish within {self._timeout_s:g} s of wall-clock time") from None
        except Damaged:
            self._shrink(len(archive))
            raise
        except BaseException:
            await self._killed(process)
            raise
        if answer is None:
            raise self._mourned(await self._ended(process, END_S))
        self._shrink(len(archive))
        raise RenderDear if answer.outcome == "dear" else RenderFailed(answer.error)

    async def _asked(self, process: Process, order: Order) -> Answer | None:
        """Send the order and read the answer; None when the renderer has ended."""
        _stdin(process).write(msgspec.json.encode(order) + b"\n")
        return await _answer(process)

    async def _started(self) -> Process:
        """The running renderer, started when necessary; SlotTaken, for good, after `STARTS_MAX` failed starts."""
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
        """Start a renderer and wait until it is ready; returns why that failed, or None."""
        try:
            process = self._process = await asyncio.create_subprocess_exec(
                *self._program,
                str(self._file),
                str(self._decode_bytes_max),
                stdin=PIPE,  # The renderer exits when it ends, so it never outlives its worker.
                stdout=PIPE,
                pass_fds=(self._file,),
                cwd=ROOT,
                start_new_session=True,  # A terminal's Ctrl-C reaches only the worker, which lets the render finish.
            )
        except OSError as error:
            return str(error)
        try:
            async with asyncio.timeout(START_S):
                answer = await _answer(process)
        except BaseException as error:
            await self._killed(process)
            if isinstance(error, TimeoutError | msgspec.MsgspecError):
                return f"it was not ready within {START_S:g} s"
            raise
        return None if answer else f"it ended with {await self._ended(process, END_S)}"

    def _mourned(self, code: int) -> Exception:
        """Count and log the renderer's end; the error that its exit code means for the pair."""
        self._metrics.renderers.labels(_cause(code)).inc()
        # The kernel's signal for the CPU seconds that were set before decoding (renderer.py): the photos are at fault.
        if code == -signal.SIGPROF:
            log.warning("render exceeded its CPU budget: its process was killed, the next pair gets a new one")
            return RenderOverdue()
        log.error("the render process ended with %d (%s): its pair is rendered again in a new one", code, _cause(code))
        if code == -signal.SIGKILL:
            return RendererEnded("the render process received SIGKILL: out of memory, or killed by hand")
        return RendererCrashed(f"the render process ended with {code}")

    async def _killed(self, process: Process) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        self._metrics.renderers.labels("given up").inc()
        await self._ended(process, END_S)

    async def _ended(self, process: Process, grace_s: float) -> int:
        """Wait for the process to end, and kill it after `grace_s`; its exit code."""
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


def _stdin(process: Process) -> asyncio.StreamWriter:
    return cast("asyncio.StreamWriter", process.stdin)


async def _answer(process: Process) -> Answer | None:
    """The renderer's next answer; None at the end of its output."""
    line = await cast("asyncio.StreamReader", process.stdout).readline()
    return msgspec.json.decode(line, type=Answer) if line.endswith(b"\n") else None


def _cause(code: int) -> str:
    """The metric label of an exit code: the name of the signal, or `exit`."""
    name = signal.Signals(-code).name if code < 0 else "exit"
    return name if name in ENDS else OTHER
