"""`bench replay` as real processes at a service on a real socket: verdicts, deaths, Ctrl-C, joining, cleaning up."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from bench.traces import trace as traces
from bench.traces.trace import Header, Row, Trace
from tests.ports import free_port
from tests.unit.bench.fake_service import FakeService, Faults

ROOT = Path(__file__).resolve().parents[4]
PATIENT = {"SNAPSURGE_BENCH_LAG_P99_MAX_MS": "100000", "SNAPSURGE_BENCH_READY_TIMEOUT_S": "0"}
ENDS_S = 100
pytestmark = pytest.mark.timeout(300)


def write(path: Path, *, arrivals: int = 20, every_ms: int = 10) -> Path:
    """A trace of that many arrivals."""
    rows = (Row(t=n * every_ms * 1000, u=f"u{n}", f=36_000, b=37_000, up=10**9) for n in range(arrivals))
    traces.write(path, Trace(Header(kind="synthetic", window_s=60, seed=1), tuple(rows)))
    return path


@asynccontextmanager
async def bench(*words: str, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m bench replay`, which is killed if the test fails before it ends."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench", "replay", *words),
        cwd=ROOT,
        env=dict(os.environ) | PATIENT | settings,  # noqa: TID251 -- the environment of a child
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def service(fake: FakeService) -> AsyncIterator[str]:
    """Its address."""
    async with fake.server() as server:
        assert isinstance(server, TestServer)
        yield str(server.make_url("")).rstrip("/")


async def ended(process: asyncio.subprocess.Process) -> tuple[int, str]:
    """The exit code and what was said."""
    async with asyncio.timeout(ENDS_S):
        said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def until(there: Callable[[], bool]) -> None:
    """Wait for a state of other processes."""
    async with asyncio.timeout(ENDS_S):
        while not there():  # noqa: ASYNC110 -- what others do is the event
            await asyncio.sleep(0)


@pytest.mark.parametrize("generators", ["1", "2"])
@pytest.mark.parametrize(
    ("faults", "settings", "code", "verdict"),
    [
        ({}, {}, 0, "pass"),
        ({"drop": 1}, {}, 1, "fail"),
        ({}, {"SNAPSURGE_BENCH_LAG_P99_MAX_MS": "0.000001"}, 3, "void"),
    ],
)
async def test_the_exit_code_is_the_verdict(
    tmp_path: Path, generators: str, faults: dict[str, Any], settings: dict[str, str], code: int, verdict: str
) -> None:
    """However many processes send; and users are recognised as made up."""
    trace, file = write(tmp_path / "t.gz"), tmp_path / "r.json"
    fake = FakeService(Faults(page=100, **faults))
    async with service(fake) as url:
        words = (str(trace), "--target", url, "--report", str(file), "--generators", generators)
        async with bench(*words, **settings) as process:
            found = await ended(process)
    report = json.loads(file.read_text())

    assert (found[0], report["verdict"]) == (code, verdict), found[1]
    assert (report["offered"], report["accepted"], len(report["generators"])) == (20, 20, int(generators))
    assert all(post["user_id"].startswith("rehearsal-u") for post in fake.posts.values())


async def test_a_generator_that_is_killed_makes_the_run_void(tmp_path: Path) -> None:
    """It is named; what was stored is deleted all the same."""
    trace, file = write(tmp_path / "t.gz", arrivals=400, every_ms=100), tmp_path / "r.json"
    fake = FakeService(Faults(page=500))
    async with service(fake) as url:
        words = (str(trace), "--target", url, "--report", str(file), "--generators", "2", "--cleanup")
        async with bench(*words) as process:
            await until(lambda: len(fake.posts) > 3)
            victim = int(children(process.pid)[0])
            os.kill(victim, signal.SIGKILL)
            code, said = await ended(process)
    report = json.loads(file.read_text())

    assert (code, report["verdict"]) == (3, "void"), said
    assert f"pid {victim}) died: the connection ended" in report["voided"][0]
    assert report["lost"] == 0
    assert fake.posts == {}


def children(pid: int) -> list[str]:
    """The children of a process."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


@pytest.mark.parametrize(
    ("generators", "number"), [("1", signal.SIGINT), ("2", signal.SIGINT), ("1", signal.SIGTERM), ("2", signal.SIGTERM)]
)
async def test_ctrl_c_ends_all_and_cleans_up(tmp_path: Path, generators: str, number: signal.Signals) -> None:
    """130, a report of what was sent, nothing left of it, and no process either; SIGTERM does the same."""
    trace, file = write(tmp_path / "t.gz", arrivals=400, every_ms=100), tmp_path / "r.json"
    fake = FakeService(Faults(page=500))
    async with service(fake) as url:
        words = (str(trace), "--target", url, "--report", str(file), "--generators", generators, "--cleanup")
        async with bench(*words) as process:
            await until(lambda: len(fake.posts) > 3)
            helpers = children(process.pid)
            process.send_signal(number)
            code, said = await ended(process)
    report = json.loads(file.read_text())

    assert code == 130, said
    assert report["interrupted"]
    assert 0 < report["offered"] < 400
    assert report["lost"] == 0
    assert fake.posts == {}
    assert len(helpers) == (2 if generators == "2" else 0)
    assert not any(Path(f"/proc/{pid}").exists() for pid in helpers)


async def test_what_cannot_be_deleted_fails_the_run(tmp_path: Path) -> None:
    """And is named."""
    fake = FakeService(Faults(page=100))
    real = fake.store

    def stubborn(post_id: str, *rest: Any) -> dict[str, Any]:
        fake.faults.undeletable = fake.faults.undeletable or post_id
        return real(post_id, *rest)

    fake.store = stubborn  # type: ignore[method-assign]
    async with service(fake) as url, bench(str(write(tmp_path / "t.gz")), "--target", url, "--cleanup") as process:
        code, said = await ended(process)

    assert code == 1, said
    assert list(fake.posts) == [fake.faults.undeletable]
    assert f"19 posts deleted, NOT deleted: {fake.faults.undeletable}: DELETE" in said


async def test_a_run_that_fails_cleans_up_before_it_says_so(tmp_path: Path) -> None:
    """The listing fails in the check: the acknowledged posts are deleted by their ids."""

    class Unlisted(FakeService):
        """A service that lists nothing, once everything is stored."""

        async def list(self, request: Any) -> Any:
            self.faults.no_posts = len(self.posts) == 20 or self.faults.no_posts
            return await super().list(request)

    fake = Unlisted(Faults(page=100))
    async with service(fake) as url, bench(str(write(tmp_path / "t.gz")), "--target", url, "--cleanup") as process:
        code, said = await ended(process)

    assert code == 2, said
    assert "cleanup: 20 posts deleted, NOT deleted: the posts of moment moment-0 cannot be listed" in said
    assert "bench: GET /v1/moments/moment-0/posts" in said
    assert fake.posts == {}


async def test_a_broken_rule_stops_the_run_which_has_then_failed(tmp_path: Path) -> None:
    """Long before the end of the trace; a rule that holds does not."""
    trace, file = write(tmp_path / "t.gz", arrivals=4000, every_ms=20), tmp_path / "r.json"
    fake = FakeService(Faults(page=500, refuse=100_000))
    async with service(fake) as url:
        words = (str(trace), "--target", url, "--report", str(file), "--stop-when", "shed>5%")
        async with bench(*words, "--stop-when", "failed>5%", "--generators", "2") as process:
            code, said = await ended(process)
    report = json.loads(file.read_text())

    assert (code, report["verdict"], report["stopped_by"]) == (1, "fail", "failed>5%: 100.0% in 10 s"), said
    assert 20 <= report["offered"] < 4000
    assert "stopping: failed>5%" in said


async def test_machines_join_by_the_address_alone(tmp_path: Path) -> None:
    """One with two generators, one with one; each is told the end, and ends well."""
    trace, file, port = write(tmp_path / "t.gz", arrivals=30), tmp_path / "r.json", free_port()
    fake = FakeService(Faults(page=100))
    address = f"127.0.0.1:{port}"
    async with service(fake) as url:
        words = (str(trace), "--target", url, "--report", str(file), "--coordinate", address, "--machines", "2")
        async with bench(*words) as process:
            assert process.stdout
            lines: list[str] = []
            while not (lines and lines[-1].startswith("waiting for 2 machines")):
                lines.append((await process.stdout.readline()).decode())
            assert address in lines[-1]
            joins = [("--machine", "a:1"), ("--machine", "b:2"), ("--machine", "b:2")]
            async with (
                bench("--join", address, *joins[0], SNAPSURGE_AUTH_SECRET="another") as one,
                bench("--join", address, *joins[1]) as two,
                bench("--join", address, *joins[2]) as three,
            ):
                codes = [(await ended(each))[0] for each in (process, one, two, three)]
    report = json.loads(file.read_text())

    assert codes == [0, 0, 0, 0]
    assert [each["offered"] for each in report["generators"]] == [10, 10, 10]
    assert (report["accepted"], report["verdict"]) == (30, "pass")


async def test_one_command_joins_with_several_processes(tmp_path: Path) -> None:
    """As one machine."""
    trace, port = write(tmp_path / "t.gz"), free_port()
    fake = FakeService(Faults(page=100))
    async with service(fake) as url:
        words = (str(trace), "--target", url, "--coordinate", f"127.0.0.1:{port}", "--machines", "1")
        async with bench(*words) as process:
            assert process.stdout
            while not (await process.stdout.readline()).startswith(b"waiting for 1 machines"):
                pass
            async with bench("--join", f"127.0.0.1:{port}", "--generators", "2") as joining:
                codes = [(await ended(each))[0] for each in (process, joining)]

    assert codes == [0, 0]
    assert len(fake.posts) == 20


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "replay needs a trace and --target URL, or --join HOST:PORT"),
        (("--join", "127.0.0.1:1", "--target", "http://x"), "--join takes no trace and no target"),
        (("--join", "127.0.0.1:1"), "no coordinator answers at 127.0.0.1:1"),
        (("--join", "nowhere"), "an address is HOST:PORT"),
        (("TRACE", "--target", "http://127.0.0.1:1", "--machines", "2"), "belong together"),
        (("TRACE", "--target", "http://127.0.0.1:1", "--generators", "0"), "a number from 1 to 1000"),
        (("TRACE", "--target", "http://127.0.0.1:1", "--generators", "1001"), "a number from 1 to 1000"),
        (("TRACE", "--target", "http://127.0.0.1:1", "--stop-when", "shed>5"), "--stop-when shed>5: a rule is shed>P%"),
    ],
)
async def test_what_cannot_be_run_is_said_in_one_line(tmp_path: Path, words: tuple[str, ...], why: str) -> None:
    """Exit code 2, no traceback."""
    trace = str(write(tmp_path / "t.gz"))
    async with bench(*(trace if word == "TRACE" else word for word in words)) as process:
        code, said = await ended(process)

    assert code == 2
    assert why in said
    assert "Traceback" not in said
