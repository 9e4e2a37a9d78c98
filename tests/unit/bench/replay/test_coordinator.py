"""A coordinator with real generators over real sockets: what they join, send and tell, and what makes a run void."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp.test_utils import TestServer

from bench.client import token
from bench.clock import SystemClock
from bench.config import DEVELOPMENT_SECRET
from bench.replay import coordinator as coordinators
from bench.replay import generator
from bench.replay.beats import Arrival
from bench.replay.coordinator import LOCAL, Coordinator, GeneratorLost, RunVoid
from bench.replay.generator import JoinFailed
from bench.replay.messages import (
    ASKED,
    PROTOCOL,
    Done,
    Ping,
    Plan,
    Pong,
    Refused,
)
from bench.replay.progress import PlainProgress
from bench.replay.report import Origin, Report, build
from bench.replay.run import Job, Replay
from bench.service import Service
from bench.traces.trace import Row
from tests.unit.bench.fake_service import QUICK, FakeService, Faults
from tests.unit.bench.replay.scripted import OPENED, Scripted, Skewed

ARRIVALS = 12
ROWS = tuple(Row(t=n * 4000, u=f"u{n}", f=36_000, b=37_000, up=10**9) for n in range(ARRIVALS))
CONFIG = msgspec.structs.replace(QUICK, lead_s=0.5)


@asynccontextmanager
async def coordinator(
    targets: tuple[str, ...] = (), machines: int = 2, said: list[str] | None = None
) -> AsyncIterator[tuple[Coordinator, tuple[str, int]]]:
    """A coordinator of other machines that listens, and its address."""
    plan = Plan(
        msgspec.structs.replace(CONFIG, auth_secret="-"),
        targets,
        obey_uplink=True,
        fresh=True,
        resume=False,
        photo_bytes_max=1,
    )
    arrivals = [Arrival(n, row, token(DEVELOPMENT_SECRET, row.u, "upload", 1.8e9)) for n, row in enumerate(ROWS)]
    said = [] if said is None else said
    made = Coordinator(plan, arrivals, SystemClock(), local=0, machines=machines, say=said.append)
    async with await asyncio.start_server(made.welcome, "127.0.0.1", 0) as server, asyncio.timeout(100):
        yield made, server.sockets[0].getsockname()
        made.close()


async def replayed(
    fake: FakeService, join: Callable[[tuple[str, int], asyncio.TaskGroup], None], machines: int = 2, **job: Any
) -> Report:
    """The report of a run by the generators that `join` starts."""
    async with fake.server() as server, aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        assert isinstance(server, TestServer)
        targets = (str(server.make_url("")).rstrip("/"),)
        async with coordinator(targets, machines) as (made, address):
            join(address, group)
            await made.gather()
            service = Service(session, targets, CONFIG, SystemClock())
            run = await Replay(Job(rows=ROWS, window_s=60, **job), made, CONFIG, SystemClock(), service).run(
                PlainProgress()
            )
    return build(run, CONFIG, Origin(trace="t", trace_sha256="", scale=1.0, settings={}), targets)


async def test_generators_send_every_arrival_once_and_one_check_is_made_over_all() -> None:
    """Whichever of them sent it; what one of them lost is found."""

    def join(address: tuple[str, int], group: asyncio.TaskGroup) -> None:
        for machine in "ab":
            group.create_task(generator.join(address, machine, 1, SystemClock()))

    fake = FakeService(Faults(shed=2, drop=1))
    report = await replayed(fake, join)

    assert (report.offered, report.accepted, report.shed, report.lost) == (ARRIVALS, ARRIVALS, 2, 1)
    assert [each.offered for each in report.generators] == [6, 6]
    assert {claims_of(head) for _, path, head in fake.requests if path.endswith("/posts") and "Content-Length" in head}
    assert all(abs(each.clock_after_ms) < 10 for each in report.generators)
    assert report.verdict == "fail"
    assert sum(each.cpu_ms for each in report.generators) > 0


def claims_of(head: dict[str, str]) -> str:
    """The token; made by the coordinator, as the generators have no secret."""
    return head["Authorization"]


@pytest.mark.parametrize(("ahead_ms", "void"), [(6, False), (-6, False), (14, True), (-14, True)])
async def test_a_generator_whose_clock_is_off_voids_the_run_before_anything_is_sent(
    ahead_ms: float, *, void: bool
) -> None:
    """By more than ten ms, either way; the difference is said."""
    said: list[str] = []
    async with coordinator(said=said) as (made, address), asyncio.TaskGroup() as group:
        for machine, ahead in (("a", 0.0), ("b", ahead_ms)):
            group.create_task(quietly(generator.join(address, machine, 1, Skewed(ahead))))
        if void:
            with pytest.raises(RunVoid, match=r"nothing was sent.*generator \d \(.*\) by [+-]1\d\.\d ms"):
                await made.gather()
        else:
            await made.gather()
        made.close()
    assert len(said) == 3
    assert said[0].endswith("joined; 1 of 2 machines are here")
    assert all("clock " in line for line in said[1:])


async def quietly(joining: Any) -> None:
    """Join; the end of the coordinator is expected."""
    try:
        await joining
    except JoinFailed as error:
        assert "the coordinator is gone before the run has ended" in str(error)  # noqa: PT017 -- either end is right


async def test_a_clock_that_is_off_at_the_end_voids_the_run() -> None:
    """It was set while the run lasted."""
    clock = Skewed(0)

    def join(address: tuple[str, int], group: asyncio.TaskGroup) -> None:
        group.create_task(generator.join(address, "a", 1, SystemClock()))
        group.create_task(generator.join(address, "b", 1, clock))

    class Setting(FakeService):
        """Whoever sees the first pair sets the clock."""

        async def accept(self, request: Any) -> Any:
            clock.ahead_s = 0.02
            return await super().accept(request)

    report = await replayed(Setting(Faults()), join)

    assert report.verdict == "void"
    assert "its clock is off by +2" in " ".join(report.voided)


@pytest.fixture(autouse=True)
async def _closed() -> AsyncIterator[None]:
    """Connections of scripted generators end with their test."""
    yield
    while OPENED:
        OPENED.pop().close()
    for _ in range(3):
        await asyncio.sleep(0)


async def test_a_generator_that_dies_voids_the_run_and_is_named() -> None:
    """The other stops sending; what it sent is checked."""

    async def dying(address: tuple[str, int]) -> None:
        scripted = await Scripted.joined(address)
        await scripted.until_fired()
        assert len(scripted.share) == ARRIVALS // 2
        scripted.wire.close()

    def join(address: tuple[str, int], group: asyncio.TaskGroup) -> None:
        group.create_task(generator.join(address, "a", 1, SystemClock()))
        group.create_task(dying(address))

    fake = FakeService(Faults())
    report = await replayed(fake, join)

    assert (report.verdict, report.exit_code, report.lost) == ("void", 3, 0)
    assert report.offered < ARRIVALS
    named = next(each for each in report.generators if "(h, pid 7)" in each.name)
    assert any(why.startswith(f"{named.name} died: ") and "after 0 of 6 uploads" in why for why in report.voided)


async def test_a_generator_that_is_silent_counts_as_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its network is gone, or its process hangs."""
    monkeypatch.setattr(coordinators, "SILENCE_S", 0.3)
    ended = asyncio.Event()

    async def silent(address: tuple[str, int]) -> None:
        await (await Scripted.joined(address)).until_fired()
        await ended.wait()

    async def speaking(address: tuple[str, int]) -> None:
        scripted = await Scripted.joined(address, "t")
        await scripted.until_fired()
        scripted.wire.say(Done(1.0))
        while True:
            if isinstance(await scripted.wire.receive(ASKED), Ping):
                scripted.wire.say(Pong(SystemClock().now()))

    async with coordinator() as (made, address), asyncio.TaskGroup() as group:
        for one in (silent, speaking):
            group.create_task(until_gone(one(address)))
        await made.gather()
        await made.send("m", 0.0)
        ended.set()
        made.close()

    (fault,) = made.faults
    assert "was silent for 0 s" in fault


async def until_gone(work: Any) -> None:
    """Until the coordinator ends the connection."""
    try:
        await work
    except coordinators.WireError:
        return


async def number_of(made: Coordinator, count: int) -> None:
    """Until so many have joined."""
    while len(made.generators()) < count:  # noqa: ASYNC110 -- what was welcomed is the event
        await asyncio.sleep(0)


async def test_who_may_not_join_is_told_why() -> None:
    """Other code, too many machines, or too late."""
    async with coordinator(machines=1) as (made, address):
        other = await Scripted.joined(address, protocol=PROTOCOL + 1)
        assert await other.wire.receive(ASKED) == Refused(
            f"this generator speaks protocol {PROTOCOL + 1}, the coordinator {PROTOCOL}: run the same code"
        )
        first = await Scripted.joined(address, "a", 2)
        await number_of(made, 1)
        with pytest.RaisesGroup(pytest.RaisesExc(JoinFailed, match="all 1 machines have joined")):
            await generator.join(address, "b", 1, SystemClock())
        async with asyncio.TaskGroup() as group:
            gathering = group.create_task(made.gather())
            second = await Scripted.joined(address, "a", 2)
            tasks = [group.create_task(until_gone(each.until_fired())) for each in (first, second)]
            await gathering
            with pytest.RaisesGroup(pytest.RaisesExc(JoinFailed, match="the burst has all its generators")):
                await generator.join(address, "a", 2, SystemClock())
            made.close()
            await asyncio.gather(*tasks)
        assert [len(each.share) for each in (first, second)] == [6, 6]


async def test_a_stranger_is_not_waited_for() -> None:
    """What does not speak the protocol is no generator."""
    async with coordinator(machines=1) as (made, address):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await reader.read() == b""
        writer.close()
        assert made.generators() == []


async def test_a_coordinator_says_whom_it_waits_for() -> None:
    """At each that joins; a second command of a machine that is whole is refused, and told what to do."""
    said: list[str] = []
    async with coordinator(said=said) as (made, address):
        for count, (machine, generators) in enumerate([("a", 2), ("a", 2)], start=1):
            await Scripted.joined(address, machine, generators)
            await number_of(made, count)
        with pytest.RaisesGroup(pytest.RaisesExc(JoinFailed, match="machine a has joined already.*--generators N")):
            await generator.join(address, "a", 2, SystemClock())
    assert said == [
        "generator 1 (h, pid 7) joined; 0 of 2 machines are here; a with 1 of 2",
        "generator 2 (h, pid 7) joined; 1 of 2 machines are here",
    ]


async def test_a_generator_that_is_gone_before_the_start_ends_the_run() -> None:
    """It could not run; nothing was sent."""
    async with coordinator(machines=1) as (made, address):
        (await Scripted.joined(address)).wire.close()
        with pytest.raises(GeneratorLost, match=r"generator 1 \(h, pid 7\) is gone before the start"):
            await made.gather()


async def test_a_machine_is_there_when_all_its_generators_are() -> None:
    """And so is the coordinator's own."""
    plan = Plan(CONFIG, (), obey_uplink=True, fresh=True, resume=False, photo_bytes_max=1)
    made = Coordinator(plan, (), SystemClock(), local=2, machines=1, say=lambda _: None)
    async with await asyncio.start_server(made.welcome, "127.0.0.1", 0) as server, asyncio.timeout(60):
        address = server.sockets[0].getsockname()
        for count, (machine, generators) in enumerate([("a", 2), (LOCAL, 2), (LOCAL, 2), ("a", 2)], start=1):
            assert not made._complete()
            await Scripted.joined(address, machine, generators)
            await number_of(made, count)
        assert made._complete()
        made.close()
