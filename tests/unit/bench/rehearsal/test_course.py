"""bench.rehearsal.course: what must hold before a burst, what a replay leaves, and what is void."""

import asyncio
import json
import sys
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from bench.clock import SystemClock
from bench.rehearsal.course import ERRORS, Rehearsal, _counts, _fires_at, _lacking
from bench.rehearsal.faults import FAULTS, NotStruck
from bench.rehearsal.scrapes import SCALING, UP
from bench.rehearsal.stack import Place
from bench.service import Service
from lb.ops.metrics import CLASSES
from tests.unit.bench.fake_service import QUICK, FakeService, Faults
from tests.unit.bench.peers.stacks import STACK


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({}, ""),
        ({("worker-2", UP): 0.0}, ""),  # workers come and go with the load
        ({("node-a", UP): 0.0}, "node-a does not answer"),
        ({("lb-1", "snapsurge_lb_node_up{node=b}"): 0.0}, "{node=b} as healthy"),
        ({(SCALING, "ready"): 3.0}, "3 jobs wait"),
    ],
)
def test_a_burst_waits_for_a_whole_stack(changed: dict[tuple[str, str], float], says: str) -> None:
    """Every program answers, every node is healthy, the queue of the last burst is empty."""
    whole = {("node-a", UP): 1.0, ("lb-1", "snapsurge_lb_node_up{node=b}"): 1.0, (SCALING, "ready"): 0.0}

    found = _lacking({**whole, **changed})
    assert says in found
    assert bool(found) is bool(says)


async def test_the_moment_is_read_from_what_the_replay_says() -> None:
    """A replay that could not begin is void, with its last words."""
    for said, fires_at in (
        ("hello\\nmoment m fires at 2026-01-01T00:00:00.500Z\\nmore\\n", 1767225600.5),
        ("no\\n", None),
    ):
        running = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", f"print('{said}', end='')"), stdout=asyncio.subprocess.PIPE
        )
        if fires_at:
            assert await _fires_at(running) == fires_at
        else:
            with pytest.raises(NotStruck, match="did not begin: no"):
                await _fires_at(running)
        await running.wait()


def test_a_replay_without_a_report_is_void(tmp_path: Path) -> None:
    """So is one with half a report."""
    with pytest.raises(NotStruck, match="left no report"):
        _counts(tmp_path / "report.json")
    (tmp_path / "report.json").write_text('{"offered": 3}')
    with pytest.raises(NotStruck, match="left no report"):
        _counts(tmp_path / "report.json")


def test_the_errors_that_are_watched_are_there() -> None:
    """By the label that balancers give them."""
    assert ERRORS.removeprefix("snapsurge_lb_requests_total{status=").removesuffix("}") in CLASSES


async def test_a_fault_that_a_stack_cannot_have_is_not_tried(tmp_path: Path) -> None:
    """It is told with its reason; and nothing is tried before the burst without a fault."""
    place = Place(tmp_path / "stack.json")
    place.file.write_text(json.dumps(STACK | {"servers": []}))
    async with FakeService(Faults()).server() as fake, aiohttp.ClientSession() as session:
        assert isinstance(fake, TestServer)
        service, clock = Service(session, [str(fake.make_url(""))], QUICK, SystemClock()), SystemClock()
        made = Rehearsal(tmp_path / "trace", 1.0, place, tmp_path, session, service, clock, lambda _: None)
        with pytest.raises(RuntimeError):
            await made.trial(FAULTS[0])
        made._calm = object()  # type: ignore[assignment] # only that it was there
        (slow,) = (fault for fault in FAULTS if fault.name == "store-slow")
        trial = await made.trial(slow)

    assert (trial.result, "--store minio" in trial.why) == ("not possible here", True)
