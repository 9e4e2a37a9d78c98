"""A coordinator as a process, with peers at its port that do not join: it ends as if they were not there."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.unit.bench.fake_service import FakeService, Faults
from tests.unit.bench.replay.test_coordinator import coordinator
from tests.unit.bench.replay.test_processes import bench, ended, service, write

pytestmark = pytest.mark.timeout(300)


@asynccontextmanager
async def waiting(tmp_path: Path, machines: int) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """A coordinator that waits for so many machines, and its port."""
    port = free_port()
    words = ("--coordinate", f"127.0.0.1:{port}", "--machines", str(machines))
    trace, fake = str(write(tmp_path / "t.gz")), FakeService(Faults(page=100))
    async with service(fake) as url, bench(trace, "--target", url, *words) as process:
        assert process.stdout
        while not (await process.stdout.readline()).startswith(b"waiting for "):
            pass
        yield process, port


async def test_silent_peers_leave_no_trace(tmp_path: Path) -> None:
    """They are connected from before the burst to after it; one of them says back what it hears."""
    async with waiting(tmp_path, 1) as (process, port):
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(50)]
        async with bench("--join", f"127.0.0.1:{port}") as joining:
            code, said = await ended(process)
            assert (await ended(joining))[0] == 0
        for _, writer in opened:
            writer.close()

    assert code == 0, said
    assert "Traceback" not in said
    assert "Exception" not in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_coordinator_that_waits_is_ended(tmp_path: Path, number: signal.Signals) -> None:
    """With a silent peer at its port; nothing was sent."""
    async with waiting(tmp_path, 1) as (process, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        process.send_signal(number)
        code, said = await ended(process)
        writer.close()

    assert code == 130, said
    assert "Traceback" not in said


async def test_a_second_command_of_a_machine_is_told_what_to_do(tmp_path: Path) -> None:
    """The coordinator says whom it waits for, and goes on waiting."""
    async with waiting(tmp_path, 2) as (process, port):
        assert process.stdout
        where = f"127.0.0.1:{port}"
        async with bench("--join", where) as one:
            line = (await process.stdout.readline()).decode()
            async with bench("--join", where) as two:
                code, said = await ended(two)
            async with bench("--join", where, "--machine", "other:1") as three:
                codes = [(await ended(each))[0] for each in (process, one, three)]

    assert line.endswith("joined; 1 of 2 machines are here\n")
    assert (code, said.count("\n")) == (2, 1)
    assert "has joined already" in said
    assert codes == [0, 0, 0]


async def test_a_generator_that_is_ended_ends_its_others(tmp_path: Path) -> None:
    """`--join --generators 2` and SIGTERM before the burst: the coordinator says which is gone."""
    async with waiting(tmp_path, 2) as (process, port):
        assert process.stdout
        async with bench("--join", f"127.0.0.1:{port}", "--generators", "2") as joining:
            while not (await process.stdout.readline()).endswith(b"1 of 2 machines are here\n"):
                pass
            joining.send_signal(signal.SIGTERM)
            code, said = await ended(joining)
        process.send_signal(signal.SIGINT)
        assert (await ended(process))[0] == 130

    assert code == 130, said
    assert "Traceback" not in said


async def test_who_says_nothing_is_let_go_at_the_end() -> None:
    """Their tasks are over soon after; who comes later is not greeted."""
    async with coordinator(machines=1) as (made, address):
        opened = [await asyncio.open_connection(*address) for _ in range(20)]
        while len(made._strangers) < len(opened):  # noqa: ASYNC110 -- what was accepted is the event
            await asyncio.sleep(0)
        made.close()
        while made._strangers:  # noqa: ASYNC110 -- their end is the event
            await asyncio.sleep(0)
        for reader, writer in opened:
            assert await reader.read() == b""
            writer.close()
        reader, writer = await asyncio.open_connection(*address)
        assert await reader.read() == b""
        writer.close()
