"""What is measured is the step and not the check, seen on a real process that works when it is asked to."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator

import pytest

from bench.costing.interval import Meter, Spent, measured

# One line in, one line out; a line holds the number of rounds to work.
SERVER = "import sys\nfor line in sys.stdin:\n    sum(range(int(line)))\n    print('done', flush=True)\n"
WORK = 2_000_000


@pytest.fixture
async def server() -> AsyncIterator[Process]:
    """A process that works when it is asked to."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVER, stdin=PIPE, stdout=PIPE)
    await asked(process, 1)
    yield process
    process.kill()
    await process.wait()


async def asked(process: Process, work: int) -> None:
    """Let it work."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"%d\n" % work)
    assert await process.stdout.readline() == b"done\n"


async def test_a_check_on_the_same_process_is_not_counted(server: Process) -> None:
    """A check of ten times the step's work, after it: the step costs what it costs without a check."""

    async def step() -> str:
        await asked(server, WORK)
        return "result"

    async def check(found: str) -> None:
        assert found == "result"
        checked.append(True)
        await asked(server, 10 * WORK)

    checked: list[bool] = []
    with_check, found = await measured({"server": server.pid}, step, check)
    alone, _ = await measured({"server": server.pid}, step)
    whole = Meter({"server": server.pid})
    await step()
    await check("result")

    assert found == "result"
    assert checked == [True, True]
    assert 0.5 < with_check.cpu_ms["server"] / alone.cpu_ms["server"] < 2
    assert whole.spent().cpu_ms["server"] > 5 * alone.cpu_ms["server"]  # the check can be seen where it is counted


async def test_a_check_that_fails_fails_the_measurement(server: Process) -> None:
    """Figures of work that was not done are none."""

    async def check(_: None) -> None:
        raise ValueError("not all there")

    with pytest.raises(ValueError, match="not all there"):
        await measured({"server": server.pid}, lambda: asked(server, 1), check)


def test_what_is_idle_is_taken_off() -> None:
    """A tenth of a core over two seconds is 200 ms; never below nothing."""
    spent = Spent(2.0, {"node": 500.0, "lb": 100.0, "redis": 5.0})

    assert spent.beyond({"node": 0.1, "lb": 0.1}).cpu_ms == {"node": 300.0, "lb": 0.0, "redis": 5.0}
