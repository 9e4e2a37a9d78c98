"""The reference client against a service that refuses, limits and hangs up."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from types import SimpleNamespace

import jwt
import pytest
from aiohttp.test_utils import TestServer

from bench.answers import Response
from bench.client import NO_ANSWER, RETRIED, Answer, Client, multipart, read_answer, token, wait_s
from bench.clock import SystemClock
from bench.config import DEVELOPMENT_SECRET, Config
from bench.connections import Connections
from bench.outcome import Outcome, Upload
from ingest import guide
from ingest.config import Config as NodeConfig
from ingest.openapi import document
from tests.unit.bench.fake_service import QUICK, FakeClock, FakeService, Faults, MiddleRng

MOMENT = {"fires_at": "2026-01-01T00:00:00.000Z", "closes_at": "2026-01-01T00:02:00.000Z", "window_s": 120}
DEAD = "http://127.0.0.1:1"
BODY = multipart(b"f" * 60_000, b"b" * 40_000)
LENGTH = len(BODY)


@pytest.fixture(params=[True, False], ids=["fresh", "reuse"])
async def connections(request: pytest.FixtureRequest) -> AsyncIterator[Connections]:
    """Connections of a clock that does not stand still, which are closed."""
    async with Connections(10, SystemClock(), fresh=request.param) as opened:
        yield opened


def service(**faults: int) -> FakeService:
    """A service with one moment open."""
    return FakeService(Faults(**faults), moments={"m": MOMENT})


def upload(pace: int | None = None, first_target: int = 0) -> Upload:
    """A pair of 100 kB in all."""
    bearer = token(DEVELOPMENT_SECRET, "u", "upload", FakeClock().now())
    return Upload(moment_id="m", user="u", bearer=bearer, body=BODY, intended=0.0, pace=pace, first_target=first_target)


async def sent(
    connections: Connections,
    fake: FakeService,
    what: Upload | None = None,
    clock: FakeClock | None = None,
    before: tuple[str, ...] = (),
) -> Outcome:
    """The outcome of one upload at the fake, after other targets."""
    async with fake.server() as server:
        assert isinstance(server, TestServer)
        targets = [*before, str(server.make_url("")).rstrip("/")]
        client = Client(connections, targets, QUICK, clock or FakeClock(), MiddleRng())
        return await client.send(what or upload())


async def test_a_pair_is_stored_at_the_first_try(connections: Connections) -> None:
    """201, one attempt, the post's id."""
    fake = service()
    outcome = await sent(connections, fake)

    assert (outcome.status, outcome.acknowledged, outcome.replayed) == (201, True, False)
    assert list(fake.posts) == [outcome.post_id]
    assert fake.requests[0][2]["Content-Length"] == str(LENGTH)


async def test_a_shed_client_returns_with_its_ticket(connections: Connections) -> None:
    """503 twice, then 201; the last ticket travels from the second try on."""
    fake = service(shed=2)
    outcome = await sent(connections, fake)

    assert [attempt.status for attempt in outcome.attempts] == [503, 503, 201]
    assert [head.get("Snapsurge-Ticket") for _, _, head in fake.requests] == [None, "ticket-1", "ticket-2"]
    assert [head.get("Expect") for _, _, head in fake.requests] == [None, "100-continue", "100-continue"]
    assert outcome.ticket == "ticket-2"
    assert outcome.timely == outcome.attempts[:1]
    assert outcome.received_at


async def test_a_limited_client_waits_as_long_as_it_was_told(connections: Connections) -> None:
    """Retry-After in seconds, and a tenth of jitter at most."""
    clock = FakeClock()
    outcome = await sent(connections, service(limit=1), clock=clock)

    assert outcome.acknowledged
    assert clock.slept == [pytest.approx(2.2)]


async def test_a_lost_acknowledgement_is_asked_for_again(connections: Connections) -> None:
    """The connection closes after storing; the retry is answered 200 as a replay, and there is one post."""
    fake = service(close_after_storing=1)
    outcome = await sent(connections, fake)

    assert [attempt.status for attempt in outcome.attempts] == [0, 200]
    assert outcome.replayed
    assert len(fake.posts) == 1


async def test_a_refusal_is_final(connections: Connections) -> None:
    """403 is not tried again."""
    outcome = await sent(connections, service(refuse=5))

    assert [attempt.status for attempt in outcome.attempts] == [403]
    assert not outcome.acknowledged
    assert outcome.answered


async def test_tries_are_bounded(connections: Connections) -> None:
    """Six, then it gives up with the last answer."""
    outcome = await sent(connections, service(shed=100))

    assert len(outcome.attempts) == QUICK.attempts_max
    assert outcome.status == 503


async def test_a_dead_target_is_passed_over(connections: Connections) -> None:
    """A connection error moves on to the next target."""
    outcome = await sent(connections, service(), before=(DEAD,))

    assert [attempt.status for attempt in outcome.attempts] == [0, 201]


async def test_rows_start_at_different_targets(connections: Connections) -> None:
    """Round robin by row: the second row meets the live target at once."""
    outcome = await sent(connections, service(), upload(first_target=1), before=(DEAD,))

    assert [attempt.status for attempt in outcome.attempts] == [201]


async def test_who_was_turned_away_asks_the_same_target_again(connections: Connections) -> None:
    """Only a connection that fails is a reason to go elsewhere."""
    outcome = await sent(connections, service(shed=1), upload(first_target=1), before=(DEAD,))

    assert [attempt.status for attempt in outcome.attempts] == [503, 201]


@pytest.mark.parametrize(("pace", "more_s"), [(None, 0.0), (50_000, 2 * LENGTH / 50_000)])
async def test_an_answer_is_waited_for_as_long_as_the_uplink_needs(
    connections: Connections, monkeypatch: pytest.MonkeyPatch, pace: int | None, more_s: float
) -> None:
    """The setting, and twice the time that the pair should take."""
    waited: list[float] = []

    def timeout(seconds: float) -> asyncio.Timeout:
        waited.append(seconds)
        return asyncio.timeout(60)

    monkeypatch.setattr("bench.client.asyncio", SimpleNamespace(timeout=timeout))
    await sent(connections, service(), upload(pace=pace))

    assert waited == [pytest.approx(QUICK.answer_timeout_s + more_s)]


def test_what_is_tried_again_is_what_the_document_says() -> None:
    """The statuses in the description of the upload in /openapi.json."""
    facts = guide.facts(NodeConfig(auth_secret="x" * 32))
    upload = json.loads(document(facts))["paths"]["/v1/moments/{moment_id}/posts"]["post"]
    (statuses,) = re.findall(r"Retry after ((?:\d+,? )+)and", upload["description"])

    assert set(re.findall(r"\d+", statuses)) == {str(status) for status in RETRIED}


def test_a_token_lives_for_an_hour() -> None:
    """Longer than any burst, not for ever."""
    claims = jwt.decode(token("s" * 32, "u", "upload", 1e9), options={"verify_signature": False})

    assert (claims["sub"], claims["scope"], claims["exp"] - claims["iat"]) == ("u", "upload", 3600)


async def test_no_answer_at_all_is_unknown(connections: Connections) -> None:
    """Neither accepted nor refused."""
    outcome = await Client(connections, [DEAD], QUICK, FakeClock(), MiddleRng()).send(upload())

    assert not outcome.answered
    assert outcome.post_id is None


async def test_the_uplink_sets_the_pace() -> None:
    """100 kB at 50 kB/s take about two seconds, in chunks of an eighth of a second."""
    clock = FakeClock()
    async with Connections(10, clock) as connections:
        await sent(connections, service(), upload(pace=50_000), clock)

    assert sum(clock.slept) == pytest.approx(2.0, abs=0.15)
    assert max(clock.slept) == pytest.approx(0.125, abs=0.01)


async def test_each_try_is_reported_when_it_ends(connections: Connections) -> None:
    """So that progress shows what is shed while it is shed."""
    seen: list[int] = []
    async with service(shed=1).server() as server:
        assert isinstance(server, TestServer)
        client = Client(connections, [str(server.make_url("")).rstrip("/")], QUICK, FakeClock(), MiddleRng())
        async with asyncio.timeout(10):
            await client.send(upload(), lambda attempt: seen.append(attempt.status))

    assert seen == [503, 201]


def test_waits_grow_to_a_bound_and_have_a_floor() -> None:
    """Exponential from the floor; a Retry-After of nothing still waits the floor, a huge one is cut."""
    config = Config(backoff_floor_s=0.2, backoff_max_s=3.0, retry_after_max_s=60.0)
    waits = [wait_s(config, failures, None, MiddleRng()) for failures in range(1, 7)]

    assert waits == [0.4, 0.8, 1.6, 3.0, 3.0, 3.0]
    assert wait_s(config, 1, 0.0, MiddleRng()) == pytest.approx(0.22)
    assert wait_s(config, 1, 9999.0, MiddleRng()) == pytest.approx(66)


def test_an_answer_is_read_carefully() -> None:
    """A Retry-After that is a date or no digits of ours counts as none; a 201 without a post has no id."""
    headers = {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT", "snapsurge-ticket": "t"}

    assert read_answer(Response(503, headers, b"", kept=False)) == Answer(503, None, "t")
    assert read_answer(Response(503, {"retry-after": "²"}, b"", kept=False)) == Answer(503)
    assert read_answer(Response(201, {}, b"<html>", kept=False)) == Answer(201)
    assert read_answer(Response(201, {}, b'{"id":"p","state":"accepted"}', kept=False)).post_id == "p"
    assert NO_ANSWER.status == 0
