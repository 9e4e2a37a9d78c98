"""bench.peers.drill: the commands of a queue contender, and what they print."""

import asyncio
import io
import json
import sys

import pytest
import uvloop

from bench.peers import drill


async def fill(url: str, jobs: int) -> None:
    """Nothing to queue."""


async def work(url: str, workers: int, tally: drill.Tally) -> None:
    """Three jobs."""
    for _ in range(3):
        await tally.count()


async def holding(url: str, workers: int, tally: drill.Tally) -> None:
    """A job for as long as nobody stops it."""
    async with asyncio.timeout(0.01):
        await tally.count()


async def test_jobs_are_queued_once_and_some_at_a_time() -> None:
    """Each number, and never more at once than may be."""
    numbers: list[int] = []
    waiting: set[int] = set()
    most = 0

    async def queued(number: int) -> None:
        nonlocal most
        waiting.add(number)
        most = max(most, len(waiting))
        await asyncio.sleep(0)
        waiting.remove(number)
        numbers.append(number)

    await drill.together(2 * drill.TOGETHER, queued)
    assert sorted(numbers) == list(range(2 * drill.TOGETHER))
    assert most == drill.TOGETHER


def test_fill_reports_what_was_queued(capsys: pytest.CaptureFixture[str]) -> None:
    """The number of jobs, and the times."""
    assert drill.main("x", fill, work, ["fill", "redis://", "7"]) == 0
    report = json.loads(capsys.readouterr().out)

    assert report["done"] == 7
    assert report["began_s"] <= report["ended_s"]
    assert report["cpu_s"] >= 0


def test_all_run_on_the_loop_that_ours_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Queuing and working, whoever contends."""
    loops: list[asyncio.AbstractEventLoop] = []

    async def seen(*_: object) -> None:
        loops.append(asyncio.get_running_loop())

    for command in ("fill", "work"):
        monkeypatch.setattr(sys, "stdin", io.StringIO("\n"))
        assert drill.main("x", seen, seen, [command, "redis://", "1"]) == 0
    assert [type(loop) for loop in loops] == [uvloop.Loop] * 2


def test_work_waits_for_its_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """`ready` comes first, then a line is read, then the report of what was done."""
    line = io.StringIO("\n")
    monkeypatch.setattr(sys, "stdin", line)
    assert drill.main("x", fill, work, ["work", "redis://", "1"]) == 0
    ready, report = capsys.readouterr().out.splitlines()

    assert ready == "ready"
    assert line.read() == ""
    assert json.loads(report)["done"] == 3


def test_a_held_job_does_not_end(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It says that it is held, and counts nothing."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n"))
    with pytest.raises(TimeoutError):
        drill.main("x", fill, holding, ["work", "redis://", "1", "--hold"])

    assert capsys.readouterr().out.splitlines() == ["ready", "held"]
