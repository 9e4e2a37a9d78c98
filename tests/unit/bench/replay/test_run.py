"""A whole replay at the fake service, with each fault that the check exists for. The sender's clock is the real one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bench.client import Client, token
from bench.clock import SystemClock
from bench.config import Config
from bench.connections import Connections
from bench.photos import Gallery
from bench.replay.beats import Arrival
from bench.replay.progress import PlainProgress
from bench.replay.report import Origin, Report, build
from bench.replay.rules import parse
from bench.replay.run import Job, Replay, Run
from bench.replay.sender import Sender
from bench.service import Service
from bench.traces.trace import Row
from tests.unit.bench.fake_service import QUICK, FakeService, Faults, MiddleRng

ARRIVALS = 8
ORIGIN = Origin(trace="trace", trace_sha256="", scale=1.0, settings={})
JOB = Job(
    rows=tuple(Row(t=number * 5_000, u=f"user-{number}", f=36_000, b=37_000, up=10**9) for number in range(ARRIVALS)),
    window_s=60,
)


@pytest.fixture(scope="module")
def gallery() -> Gallery:
    """One small picture."""
    return Gallery(1, 1)


@asynccontextmanager
async def replay(fake: FakeService, gallery: Gallery, job: Job, config: Config) -> AsyncIterator[Replay]:
    """A replay at the fake, ready to run."""
    clock = SystemClock()
    async with (
        fake.server() as server,
        aiohttp.ClientSession() as session,
        Connections(100, clock) as connections,
    ):
        assert isinstance(server, TestServer)
        targets = [str(server.make_url("")).rstrip("/")]
        client = Client(connections, targets, config, clock, MiddleRng())
        arrivals = [
            Arrival(number, row, token(config.auth_secret, row.u, "upload", 1e9)) for number, row in enumerate(job.rows)
        ]
        sender = Sender(arrivals, gallery, client, clock, obey_uplink=True)
        yield Replay(job, sender, config, clock, Service(session, targets, config, clock))


async def reported(gallery: Gallery, job: Job = JOB, config: Config = QUICK, **faults: Any) -> tuple[Run, Report]:
    """A replay's run and report."""
    async with replay(FakeService(Faults(**faults)), gallery, job, config) as made:
        run = await made.run(PlainProgress())
    return run, build(run, config, ORIGIN, ["http://127.0.0.1:1"])


async def test_a_replay_without_fault_is_good(gallery: Gallery, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything is accepted, ready, on time and unbroken; the moment stands on its own line."""
    run, report = await reported(gallery)

    assert (report.offered, report.accepted, report.ready, report.on_time) == (ARRIVALS,) * 4
    assert report.good
    assert report.ready_ms.max is not None
    assert run.findings == run.bad_renditions == ()
    assert "moment moment-0 fires at 20" in capsys.readouterr().out


async def test_arrivals_are_sent_at_their_times(gallery: Gallery) -> None:
    """Intended times are those of the trace after the moment, in its order, and nothing is sent before."""
    run, _ = await reported(gallery)
    fires_at = run.moment.fires_at.timestamp()

    assert [outcome.intended - fires_at for outcome in run.outcomes] == pytest.approx(
        [row.t / 1e6 for row in JOB.rows], abs=1e-5
    )
    assert all(outcome.attempts[0].started >= outcome.intended - 0.002 for outcome in run.outcomes)


async def test_an_interrupted_replay_reports_what_was_sent(gallery: Gallery) -> None:
    """Arrivals of the next hours are not sent, uploads in flight are cut off; what had ended is checked and counted."""
    rows = (*JOB.rows, *(Row(t=10**10, u=f"late-{number}", f=36_000, b=37_000, up=10**9) for number in range(3)))
    slow = Row(t=20_000, u="slow", f=36_000, b=37_000, up=1)
    job = msgspec.structs.replace(JOB, rows=tuple(sorted([*rows, slow], key=lambda row: row.t)))
    fake = FakeService(Faults())
    async with replay(fake, gallery, job, QUICK) as made, asyncio.TaskGroup() as group:
        running = group.create_task(made.run(PlainProgress()))
        async with asyncio.timeout(60):
            while len(fake.posts) < ARRIVALS:  # noqa: ASYNC110 - the posts are the event
                await asyncio.sleep(0)
            for _ in range(200):  # the last answers arrive, or are cut off: both are right
                await asyncio.sleep(0)
        made.interrupt()
    run = running.result()
    report = build(run, QUICK, ORIGIN, ["http://127.0.0.1:1"])

    assert (report.interrupted, report.good, report.lost, report.doubled) == (True, False, 0, 0)
    assert 0 < report.offered <= ARRIVALS
    assert report.accepted == report.offered


async def test_a_replay_that_was_interrupted_before_its_first_arrival_sends_nothing(gallery: Gallery) -> None:
    """The report is of no uploads."""
    fake = FakeService(Faults())
    async with replay(fake, gallery, JOB, QUICK) as made:
        made.interrupt()
        report = build(await made.run(PlainProgress()), QUICK, ORIGIN, ["http://127.0.0.1:1"])

    assert (report.interrupted, report.good, report.offered) == (True, False, 0)
    assert fake.posts == {}


async def test_a_replay_is_interrupted_while_it_waits_for_renders(gallery: Gallery) -> None:
    """The posts that are not ready by then are pending."""
    config = msgspec.structs.replace(QUICK, ready_timeout_s=10_000)
    fake = FakeService(Faults(never_ready=True))
    async with replay(fake, gallery, JOB, config) as made, asyncio.TaskGroup() as group:
        running = group.create_task(made.run(PlainProgress()))
        async with asyncio.timeout(60):
            while len(fake.posts) < ARRIVALS:  # noqa: ASYNC110 - the posts are the event
                await asyncio.sleep(0)
        made.interrupt()
    report = build(running.result(), config, ORIGIN, ["http://127.0.0.1:1"])

    assert (report.interrupted, report.good) == (True, False)
    assert report.pending == report.accepted


@pytest.mark.parametrize(
    ("faults", "broken"),
    [
        ({"drop": 2}, {"lost": 2}),
        ({"corrupt": 1}, {"lost": 1}),
        ({"halve": 3}, {"half": 3}),
        ({"double": 1}, {"doubled": 1}),
        ({"flip_late": 1}, {"wrongly_late": 1}),
        ({"shift_received_ms": -5000}, {"wrongly_late": ARRIVALS}),
        ({"keep_exif": True}, {"bad_renditions": ARRIVALS + 6}),
    ],
)
async def test_a_service_that_breaks_a_promise_is_found_out(
    gallery: Gallery, faults: dict[str, Any], broken: dict[str, int]
) -> None:
    """Each fault is counted under its name and under no other, and the run is not good."""
    _, report = await reported(gallery, **faults)
    names = ("lost", "half", "doubled", "wrongly_late", "bad_renditions")

    assert {name: count for name in names if (count := getattr(report, name))} == broken
    assert not report.good


async def test_a_stormy_service_that_keeps_its_promises_is_good(gallery: Gallery) -> None:
    """Shed, limited and cut connections are survived by retrying, and counted."""
    config = msgspec.structs.replace(QUICK, retry_after_max_s=0.01)
    _, report = await reported(gallery, config=config, shed=3, limit=2, close_before_storing=2, close_after_storing=2)

    assert (report.accepted, report.shed, report.limited, report.replayed) == (ARRIVALS, 3, 2, 2)
    assert report.good


async def test_refused_and_rejected_are_told_apart(gallery: Gallery) -> None:
    """A refusal ends without acknowledgement; a rejected post was acknowledged."""
    _, report = await reported(gallery, refuse=2, reject=1)

    assert (report.failed, report.accepted, report.rejected, report.ready) == (2, ARRIVALS - 2, 1, ARRIVALS - 3)
    assert report.good


async def test_a_service_that_answers_half_of_its_users_with_errors_fails(gallery: Gallery) -> None:
    """A client does not try again after a 500."""
    _, report = await reported(gallery, crash=ARRIVALS // 2)

    assert (report.failed, report.unserved, report.accepted) == (ARRIVALS // 2, ARRIVALS // 2, ARRIVALS // 2)
    assert (report.verdict, report.good) == ("fail", False)
    assert report.unmet == ("users who got an error to the end, or no answer: 4 of 8, more than 1%",)


async def test_a_service_that_is_gone_at_the_end_leaves_a_report(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Uploads were sent: the run failed, and what is lost is not known."""
    monkeypatch.setattr("bench.service.PAUSE_S", 0.0)

    class Gone(FakeService):
        """A service that shows nothing once everything is stored."""

        async def list(self, request: Any) -> Any:
            if len(self.posts) == ARRIVALS:
                return web.json_response({}, status=503)
            return await super().list(request)

    async with replay(Gone(Faults()), gallery, JOB, QUICK) as made:
        report = build(await made.run(PlainProgress()), QUICK, ORIGIN, ["http://127.0.0.1:1"])

    assert (report.verdict, report.accepted, report.lost) == ("fail", ARRIVALS, 0)
    assert report.unchecked is not None
    assert report.unchecked.startswith("GET /v1/moments/moment-0/posts?limit=500: 503")


async def test_posts_that_never_become_ready_are_pending(gallery: Gallery) -> None:
    """The wait is bounded; nothing is called wrongly late before it was flagged."""
    _, report = await reported(gallery, never_ready=True)

    assert (report.pending, report.ready, report.wrongly_late) == (ARRIVALS, 0, 0)


async def test_a_post_missing_in_the_listing_is_asked_for_itself(gallery: Gallery) -> None:
    """The listing is an index; a post that is there is not lost."""

    class Forgetful(FakeService):
        """A service whose listing lost everything."""

        async def list(self, request: Any) -> Any:
            kept, self.posts = self.posts, {}
            try:
                return await super().list(request)
            finally:
                self.posts = kept

    async with replay(Forgetful(), gallery, JOB, QUICK) as made:
        report = build(await made.run(PlainProgress()), QUICK, ORIGIN, ["http://127.0.0.1:1"])

    assert (report.lost, report.ready) == (0, ARRIVALS)


async def test_a_rule_that_breaks_stops_the_replay_and_one_that_holds_does_not(gallery: Gallery) -> None:
    """The arrivals of the next hours are not sent; the verdict is that it failed, and why."""
    rows = tuple(
        Row(t=number * 1000 if number < 25 else 10**10, u=f"user-{number}", f=36_000, b=37_000, up=10**9)
        for number in range(30)
    )
    rules = (parse("shed>5%"), parse("failed>99%"))
    job = msgspec.structs.replace(JOB, rows=rows, rules=rules)
    _, report = await reported(gallery, job, refuse=1000)

    assert 20 <= report.offered <= 25
    assert (report.stopped_by, report.interrupted) == ("failed>99%: 100.0% in 10 s", False)
    assert (report.verdict, report.exit_code) == ("fail", 1)
    held = msgspec.structs.replace(job, rows=rows[:25], rules=rules[:1])
    _, report = await reported(gallery, held, refuse=24)
    assert (report.offered, report.stopped_by, report.verdict) == (25, None, "pass")


async def test_a_replay_that_cleans_up_leaves_nothing(gallery: Gallery) -> None:
    """After the check, which still finds everything; without it, posts stay."""
    fake = FakeService(Faults(page=100))
    job = msgspec.structs.replace(JOB, cleanup=True)
    async with replay(fake, gallery, job, QUICK) as made:
        report = build(await made.run(PlainProgress()), QUICK, ORIGIN, ["http://127.0.0.1:1"])

    assert (report.ready, report.lost, report.verdict) == (ARRIVALS, 0, "pass")
    assert report.cleanup is not None
    assert (report.cleanup.deleted, report.cleanup.left, fake.posts) == (ARRIVALS, (), {})
