"""The render slot: answers, deaths and whose fault they are, waiting, cancelling, with small programs as renderers."""

import asyncio
import os
import resource
import signal
import sys
from pathlib import Path

import pytest

from processors.metrics import Metrics
from processors.render.slot import (
    KEPT_BYTES,
    PROGRAM,
    RenderDear,
    RendererCrashed,
    RendererEnded,
    RenderFailed,
    Rendering,
    RenderOverdue,
    SlotTaken,
    SlotUnfit,
)
from processors.runs import Run
from storage import intake, media
from storage.queue.jobs import DEAR
from storage.records import UNTIMED, Format, Photo, Photos, Receipt, from_ms
from storage.zips import TAIL_BYTES, Damaged
from tests.unit.processors.render.test_decoding import PICTURE, written

# A renderer that does as its order's first bytes say; it is started for each test anew.
PLAYED = """
import json, os, signal, sys
file = int(sys.argv[1])
def say(**answer): print(json.dumps(answer), flush=True)
say(outcome="ready")
for line in sys.stdin:
    word = os.pread(file, 16, 0).split()[0].decode()
    if word == "dear": say(outcome="dear")
    elif word in ("failed", "unfit"): say(outcome=word, error="why")
    elif word == "leave": sys.exit(3)
    elif word == "sleep": signal.pause()
    else: os.kill(os.getpid(), int(word))
"""


def archive(photo: bytes, *, width: int = 120, height: int = 160, kind: Format = "jpeg") -> bytes:
    """An intake object of this photo twice, of which a node said this."""
    shot = Photo(sha256="0" * 64, bytes=len(photo), width=width, height=height, format=kind)
    receipt = Receipt(
        id="post",
        moment_id="eu-1",
        user_id="ann",
        received_at=from_ms(1),
        closes_at=from_ms(2),
        request_id="first",
        photos=Photos(front=shot, back=shot),
    )
    return b"".join(intake.pack(receipt, photo, photo))


def played(tmp_path: Path, *, timeout_s: float = 20.0, wait_s: float = 10.0, text: str = PLAYED) -> Rendering:
    """A slot with such a program."""
    program = tmp_path / "renderer.py"
    program.write_text(text)
    return Rendering(Metrics(), timeout_s=timeout_s, wait_s=wait_s, program=(sys.executable, str(program)))


def is_there(pid: int) -> bool:
    """Whether this process lives."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_real_renderer_renders_one_pair_after_another() -> None:
    """The same process, the same bytes; a large pair's room is given back."""
    photo = written(PICTURE)
    large = photo + bytes(KEPT_BYTES)
    async with Rendering(Metrics(), timeout_s=20, wait_s=10, program=PROGRAM) as rendering:
        kept = Run(kept=UNTIMED)  # else each record says when it was made
        first = await rendering.render(archive(photo), full=True, run=kept)
        assert await rendering.render(archive(photo), full=True, run=kept) == first
        assert (await rendering.render(archive(large), full=True))[0].state == "ready"
        with pytest.raises(Damaged):
            await rendering.render(b"PK nothing", full=True)
        assert (await rendering.render(archive(photo), full=True, run=kept)) == first

    assert first[0].state == "ready"
    assert media.record_in(first[1][-TAIL_BYTES:]) == first[0]


@pytest.mark.parametrize(
    ("word", "error"),
    [
        (str(int(signal.SIGPROF)), RenderOverdue),
        (str(int(signal.SIGKILL)), RendererEnded),
        (str(int(signal.SIGSEGV)), RendererCrashed),
        ("leave", RendererCrashed),
        ("dear", RenderDear),
        ("failed", RenderFailed),
        ("unfit", SlotUnfit),
    ],
)
async def test_each_end_has_its_cause(tmp_path: Path, word: str, error: type[Exception]) -> None:
    """Budget: the photo. SIGKILL: the machine. Any other death: a fault. And the next pair is served again."""
    async with played(tmp_path) as rendering:
        for _ in range(2):
            with pytest.raises(error):
                await rendering.render(word.encode() + b" \n", full=True)
        assert not rendering.broken


def test_only_a_spent_budget_counts_and_both_wait_among_their_like() -> None:
    """A dear pair is no fault; a killed renderer is an outage, which is an OSError."""
    assert (RenderOverdue().queue, RenderOverdue().fault) == (DEAR, True)
    assert (RenderDear().queue, RenderDear().fault) == (DEAR, False)
    assert (SlotTaken("x").queue, SlotTaken("x").fault) == ("", False)
    assert issubclass(RendererEnded, OSError)


async def test_too_long_on_the_wall_is_the_machines_doing(tmp_path: Path) -> None:
    """The process is ended, the pair is an outage, and the slot is free."""
    async with played(tmp_path, timeout_s=0.05) as rendering:
        for _ in range(2):
            with pytest.raises(RendererEnded):
                await rendering.render(b"sleep \n", full=True)


async def test_who_waits_for_the_slot_is_handed_back(tmp_path: Path) -> None:
    """Its own time has not begun, and the neighbour goes on."""
    async with played(tmp_path, wait_s=0.05) as rendering, asyncio.TaskGroup() as group:
        neighbour = group.create_task(rendering.render(b"sleep \n", full=True))
        await asyncio.sleep(0)
        with pytest.raises(SlotTaken):
            await rendering.render(b"dear \n", full=True)
        assert not neighbour.done()
        neighbour.cancel()
        await asyncio.gather(neighbour, return_exceptions=True)
        with pytest.raises(RenderDear):
            await rendering.render(b"dear \n", full=True)


async def test_leaving_leaves_no_process(tmp_path: Path) -> None:
    """Neither an idle one nor one that was told to render for ever."""
    async with played(tmp_path) as rendering, asyncio.TaskGroup() as group:
        pid = rendering.pid
        task = group.create_task(rendering.render(b"sleep \n", full=True))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert pid
    assert not is_there(pid)


@pytest.mark.parametrize("text", ["import sys; sys.exit(1)", "print('{}')", "print('nonsense', flush=True); input()"])
async def test_a_renderer_that_cannot_start_is_told(tmp_path: Path, text: str) -> None:
    """At once, so that a worker without one claims nothing."""
    rendering = played(tmp_path, text=text)
    with pytest.raises(SlotTaken):
        await rendering.__aenter__()

    assert rendering.broken


WHOLE = """
import os, sys
print('{"outcome":"ready"}', flush=True)
for line in sys.stdin:
    print('{"outcome":"damaged","error":"File is not a zip file"}', flush=True)
"""


async def test_a_renderer_that_calls_a_whole_pair_damaged_is_replaced(tmp_path: Path) -> None:
    """The worker looks at its own copy: of that which is no pair the verdict stays, and the renderer too."""
    async with played(tmp_path, text=WHOLE) as rendering:
        before = rendering.pid
        with pytest.raises(Damaged):
            await rendering.render(b"PK nothing", full=True)
        assert rendering.pid == before
        with pytest.raises(SlotUnfit):
            await rendering.render(archive(written(PICTURE)), full=True)
        assert rendering.pid != before


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux changes the limits of another process")
async def test_a_renderer_without_memory_is_replaced_and_the_next_pair_is_rendered() -> None:
    """Its pair is an outage, not a fault of the photo."""
    async with Rendering(Metrics(), timeout_s=20, wait_s=10, program=PROGRAM) as rendering:
        before = rendering.pid
        assert before is not None
        resource.prlimit(before, resource.RLIMIT_DATA, (150 << 20, resource.RLIM_INFINITY))
        with pytest.raises(SlotUnfit, match="MemoryError"):
            await rendering.render(archive(written(PICTURE)), full=True)
        post, _ = await rendering.render(archive(written(PICTURE)), full=True)
        assert (post.state, rendering.pid != before) == ("ready", True)
