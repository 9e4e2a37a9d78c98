"""The render process from inside: what it answers, its budget, and that its worker's end is its own."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from processors.render.renderer import FLOOR_S, HEADROOM, SLOWNESS_MAX, answered, expected_s, slowness
from processors.render.slot import Answer, Order
from storage import intake, media
from storage.photo import costs
from storage.photo.formats import DECODE_BYTES_MAX
from storage.records import Post
from storage.zips import TAIL_BYTES
from tests.unit.processors.render.test_decoding import PICTURE, written
from tests.unit.processors.render.test_slot import archive

ROOT = Path(__file__).parents[4]


@pytest.fixture
def file() -> Iterator[int]:
    """The file that worker and renderer share."""
    with tempfile.TemporaryFile() as shared:
        yield shared.fileno()


def ordered(file: int, body: bytes, **order: Any) -> Answer:
    """What is answered to an order of this body."""
    os.ftruncate(file, 0)
    os.pwrite(file, body, 0)
    return answered(Order(len(body), **order), file, 1.0)


def test_a_pair_is_rendered_from_file_to_file(file: int) -> None:
    """The record in the answer is the one in the media object that lies in the file."""
    answer = ordered(file, archive(written(PICTURE)))

    assert answer.outcome == "done"
    record = media.record_in(os.pread(file, answer.bytes, 0)[-TAIL_BYTES:])
    assert msgspec.json.decode(answer.record, type=Post) == record
    assert record.state == "ready"
    assert "front-full" not in media.record_in(_without_full(file)).renditions
    assert signal.getitimer(signal.ITIMER_PROF) == (0, 0)


def _without_full(file: int) -> bytes:
    answer = ordered(file, archive(written(PICTURE)), full=False)
    return os.pread(file, answer.bytes, 0)[-TAIL_BYTES:]


def test_an_expensive_pair_is_begun_only_where_it_may_be(file: int) -> None:
    """By what its headers say, at the limit from both sides: one pixel more costs too much."""
    photo = written(PICTURE)
    width = int((costs.DEAR_S / 2 - costs.PHOTO_S - len(photo) * 0.025e-6) / 0.010e-6 / 1000)
    for more, outcome in ((0, "done"), (1, "dear")):
        pair = archive(photo, width=width + more, height=1000)
        assert (expected_s(intake.unpack(pair)) > costs.DEAR_S) is (outcome == "dear")
        assert ordered(file, pair, dear=False).outcome == outcome
        assert ordered(file, pair, dear=True).outcome == "done"


def test_what_fails_is_told(file: int) -> None:
    """A damaged object is no photo's fault, and the process goes on."""
    answer = ordered(file, b"PK nothing")

    assert answer.outcome == "damaged"
    assert answer.error.startswith("Damaged(")


def test_a_lack_of_the_process_is_told_apart(file: int) -> None:
    """The worker replaces a process that cannot read, or has no memory."""
    answer = answered(Order(1 << 20), file, 1.0)

    assert answer.outcome == "unfit"
    assert answer.error.startswith("OSError(")


def test_slowness_is_a_factor() -> None:
    """Never below one: a fast machine gets no smaller budget."""
    assert 1 <= slowness() <= SLOWNESS_MAX
    assert FLOOR_S > 0
    assert HEADROOM > 1


def test_a_renderer_ends_with_its_worker() -> None:
    """Its standard input ends, in the middle of whatever it does; the budget's signal ends it by default."""
    with tempfile.TemporaryFile() as shared:
        process = subprocess.Popen(
            [sys.executable, "-m", "processors.render.renderer", str(shared.fileno()), str(DECODE_BYTES_MAX)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(shared.fileno(),),
            cwd=ROOT,
        )
        assert process.stdin
        assert process.stdout
        assert b"ready" in process.stdout.readline()
        process.stdin.close()
        assert process.wait(20) == 0
        process.stdout.close()


def test_the_budget_is_of_cpu_seconds() -> None:
    """A process that sleeps outlives its budget, one that computes is ended by the kernel."""
    script = "import signal,threading; signal.setitimer(signal.ITIMER_PROF, 0.1); {}; print('alive')"
    codes = {
        does: subprocess.run([sys.executable, "-c", script.format(does)], capture_output=True, check=False).returncode
        for does in ("threading.Event().wait(0.3)", "[0 for _ in range(10**10) if 0]")
    }

    assert list(codes.values()) == [0, -signal.SIGPROF]
