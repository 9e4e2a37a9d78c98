"""The phone's side of resumable uploads: its lines, what it reads, and whole uploads at a server on real sockets."""

import asyncio
import base64
import hashlib
from typing import Any

import pytest

from bench import resuming
from bench.answers import Response
from bench.client import Client, multipart, token
from bench.config import DEVELOPMENT_SECRET, Config
from bench.connections import Connections
from bench.outcome import Break, Outcome, Upload
from tests.unit.bench.fake_service import FakeClock, MiddleRng
from tests.unit.bench.resumable import PLACE, Resumable, TurningClock

BODY = multipart(bytes(range(256)) * 800, bytes(range(255, -1, -1)) * 700)
LENGTH = len(BODY)
QUICK = Config(backoff_floor_s=0.2, backoff_max_s=0.2, answer_timeout_s=60)


async def sent(
    server: Resumable,
    *breaks: tuple[int, float],
    clock: FakeClock | None = None,
    fresh: bool = True,
    resumes: bool = True,
    **more: Any,
) -> Outcome:
    """The outcome of one upload with these breaks."""
    bearer = token(DEVELOPMENT_SECRET, "u", "upload", 1.8e9)
    cuts = tuple(Break(*one) for one in breaks)
    upload = Upload(moment_id="m", user="u", bearer=bearer, body=BODY, intended=0.0, breaks=cuts, pace=more.get("pace"))
    clock = clock or TurningClock()
    async with asyncio.timeout(60), server.serving() as url, Connections(1, clock, fresh=fresh) as connections:
        client = Client(connections, [url], more.get("config", QUICK), clock, MiddleRng(), resumes=resumes)
        return await client.send(upload)


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("close_after_head", [True, False])
async def test_an_upload_that_breaks_goes_on_where_it_stood(*, fresh: bool, close_after_head: bool) -> None:
    """HEAD, then PATCH from the offset of the server, on one connection where that stays open; no byte twice."""
    server = Resumable(close_after_head=close_after_head)
    outcome = await sent(server, (300_000, 7.0), fresh=fresh)

    assert server.done == BODY
    assert server.methods() == ["POST", "HEAD", "PATCH"]
    assert sum(server.received) == LENGTH
    assert [attempt.status for attempt in outcome.attempts] == [0, 201]
    assert [attempt.resumed for attempt in outcome.attempts] == [False, True]
    assert sum(attempt.sent for attempt in outcome.attempts) == LENGTH == outcome.length
    assert (outcome.post_id, outcome.ticket) == ("p", "from-the-104")
    assert outcome.timely == outcome.attempts[:1]
    assert server.heads[1].startswith(f"HEAD {PLACE} HTTP/1.1")
    assert server.said(2, "Content-Type") == "application/partial-upload"
    assert (server.said(2, "Upload-Offset"), server.said(2, "Upload-Complete")) == (str(server.received[0]), "?1")


async def test_the_first_request_announces_the_version_and_a_digest() -> None:
    """Of the whole body, so that the ticket is bound to it; without resumption neither is sent."""
    server = Resumable()
    await sent(server)
    digest = base64.b64encode(hashlib.sha256(BODY).digest()).decode()
    assert server.said(0, "Upload-Draft-Interop-Version") == "8"
    assert server.said(0, "Upload-Complete") == "?1"
    assert server.said(0, "Content-Digest") == f"sha-256=:{digest}:"
    plain = Resumable()
    await sent(plain, resumes=False)
    assert "Upload-" not in plain.heads[0]
    assert "Digest" not in plain.heads[0]


async def test_a_phone_waits_as_long_as_it_has_no_network() -> None:
    """The pause of the break, or the floor of a retry where that is longer."""
    clock = TurningClock()
    await sent(Resumable(), (100, 7.0), (200, 0.0), clock=clock)
    assert [slept for slept in clock.slept if slept > 0] == [7.0, 0.2]


async def test_an_upload_may_break_often_and_anywhere() -> None:
    """Before its first byte, before its last, and within what is resumed; the bytes stay in order."""
    server = Resumable()
    outcome = await sent(server, (0, 0), (100_000, 0), (100_001, 0), (LENGTH - 1, 0))

    assert server.done == BODY
    assert sum(server.received) == LENGTH
    assert [attempt.sent for attempt in outcome.attempts] == server.received


async def test_without_resumption_all_is_sent_again() -> None:
    """Each try begins at the first byte; a try that does not get as far as a break does not break there."""
    server = Resumable()
    outcome = await sent(server, (100_000, 0), (200_000, 0), resumes=False)

    assert server.methods() == ["POST", "POST", "POST"]
    assert [attempt.sent for attempt in outcome.attempts] == [100_000, 200_000, LENGTH]
    assert server.done == BODY
    assert outcome.timely == outcome.attempts


@pytest.mark.parametrize(
    "server",
    [
        Resumable(silent=True),
        Resumable(version="7"),
        Resumable(location=""),
    ],
)
async def test_who_gets_no_upload_sends_all_again(server: Resumable) -> None:
    """No 104, one of another version, one without a location."""
    outcome = await sent(server, (100_000, 0))

    assert server.methods() == ["POST", "POST"]
    assert [attempt.resumed for attempt in outcome.attempts] == [False, False]
    assert server.done == BODY


async def test_an_upload_that_is_gone_is_sent_again_with_its_ticket() -> None:
    """In the same try, and asked for before the bytes are sent: the server may refuse them."""
    server = Resumable(forget=1)
    outcome = await sent(server, (100_000, 0))

    assert server.methods() == ["POST", "HEAD", "POST"]
    assert (server.said(2, "Snapsurge-Ticket"), server.said(2, "Expect")) == ("from-the-104", "100-continue")
    assert [attempt.status for attempt in outcome.attempts] == [0, 201]
    assert [attempt.resumed for attempt in outcome.attempts] == [False, False]
    assert outcome.timely == outcome.attempts[:1]
    assert server.done == BODY


async def test_an_upload_that_goes_before_the_rest_comes_is_sent_again() -> None:
    """A 404 to the PATCH is no refusal for good."""
    server = Resumable(evict=1)
    outcome = await sent(server, (100_000, 0))

    assert server.methods() == ["POST", "HEAD", "PATCH", "POST"]
    assert [attempt.status for attempt in outcome.attempts] == [0, 404, 201]
    assert server.done == BODY


async def test_a_rest_that_does_not_fit_is_asked_for_again() -> None:
    """409 with the offset; the next try looks where the upload stands."""
    server = Resumable(behind=9)
    outcome = await sent(server, (100_000, 0))

    assert server.methods() == ["POST", "HEAD", "PATCH", "HEAD", "PATCH"]
    assert [attempt.status for attempt in outcome.attempts] == [0, 409, 201]
    assert server.done == BODY


async def test_a_balancer_that_finds_no_node_is_asked_again_later() -> None:
    """As long as it says, and the upload goes on."""
    clock, server = TurningClock(), Resumable(away=2)
    outcome = await sent(server, (100_000, 0), clock=clock)

    assert server.methods() == ["POST", "HEAD", "HEAD", "HEAD", "PATCH"]
    assert [attempt.status for attempt in outcome.attempts] == [0, 503, 503, 201]
    assert clock.slept[-2:] == [pytest.approx(1.1), pytest.approx(1.1)]
    assert server.done == BODY


async def test_a_refusal_ends_the_upload_and_the_pair_is_sent_again() -> None:
    """With the ticket of the refusal, which keeps the time of the first request."""
    server = Resumable(refuse=1)
    outcome = await sent(server, (100_000, 0))

    assert server.methods() == ["POST", "HEAD", "PATCH", "POST"]
    assert [attempt.status for attempt in outcome.attempts] == [0, 503, 201]
    assert server.said(3, "Snapsurge-Ticket") == "of-a-refusal"


@pytest.mark.parametrize("breaks", [(), ((100_000, 0.0),)])
async def test_a_failure_that_leaves_the_upload_is_answered_by_an_empty_part(
    breaks: tuple[tuple[int, float], ...],
) -> None:
    """After as long as it says, and again; no byte is sent twice."""
    clock, server = TurningClock(), Resumable(fail=2)
    outcome = await sent(server, *breaks, clock=clock)

    assert server.methods() == ["POST", *["HEAD", "PATCH"] * (2 + len(breaks))]
    assert [attempt.status for attempt in outcome.attempts] == [*[0] * len(breaks), 503, 503, 201]
    assert clock.slept[-2:] == [pytest.approx(2.2), pytest.approx(2.2)]
    assert sum(attempt.sent for attempt in outcome.attempts) == LENGTH
    assert (server.done, outcome.ticket) == (BODY, "of-a-failure")


async def test_an_answer_that_is_lost_is_asked_for_again() -> None:
    """All has arrived: the PATCH is empty, and answered as the post is."""
    server = Resumable(lose=1)
    outcome = await sent(server)

    assert server.methods() == ["POST", "HEAD", "PATCH"]
    assert (server.said(2, "Upload-Offset"), server.said(2, "Content-Length")) == (str(LENGTH), "0")
    assert outcome.acknowledged
    assert [attempt.sent for attempt in outcome.attempts] == [LENGTH, 0]


async def test_tries_are_bounded() -> None:
    """Breaks count like failures; the last break is the last word."""
    config = Config(backoff_floor_s=0, backoff_max_s=0.001, attempts_max=3)
    outcome = await sent(Resumable(), *((at * 1000, 0.0) for at in range(1, 9)), config=config)

    assert [attempt.status for attempt in outcome.attempts] == [0, 0, 0]
    assert not outcome.answered


async def test_a_paced_break_comes_when_its_byte_would_have_left() -> None:
    """At the rate of the uplink, before the break and after it; the offsets are exact."""
    clock, server = TurningClock(), Resumable()
    outcome = await sent(server, (100_000, 5.0), clock=clock, pace=100_000)
    first, second = outcome.attempts

    assert first.finished - first.started == pytest.approx(1.0)
    assert second.started - first.finished == pytest.approx(5.0)
    assert second.finished - second.started == pytest.approx((LENGTH - 100_000) / 100_000, abs=0.15)
    assert [first.sent, second.sent] == [100_000, LENGTH - 100_000]


async def test_an_early_answer_comes_before_the_break() -> None:
    """A refusal while the body is sent is an answer, and the break is still to come."""
    outcome = await sent(Resumable(shed=1), (300_000, 0.0), pace=100_000)

    assert [attempt.status for attempt in outcome.attempts] == [503, 0, 201]
    assert outcome.attempts[0].sent < 100_000
    assert sum(attempt.sent for attempt in outcome.attempts[1:]) == LENGTH


def test_only_the_path_of_a_location_counts() -> None:
    """So that no answer sends a phone and its token elsewhere."""
    told = {"upload-draft-interop-version": "8"}
    assert resuming.named(told | {"location": "http://evil.example/v1/uploads/a?b"}) == "/v1/uploads/a?b"
    assert resuming.named(told | {"location": "/v1/uploads/a"}) == "/v1/uploads/a"
    assert resuming.named(told) is None
    assert resuming.named({"location": "/x"}) is None


@pytest.mark.parametrize(
    ("value", "offset"), [("0", 0), ("9", 9), ("10", None), ("-1", None), ("x", None), ("²", None)]
)
def test_an_offset_is_read_carefully(value: str, offset: int | None) -> None:
    """Up to the length of the body, and not behind it."""
    assert resuming.offset_in(Response(204, {"upload-offset": value}, b"", kept=True), 9) == offset


def test_a_conflict_of_the_post_is_none_of_the_offset() -> None:
    """409 is "already posted" unless it tells an offset of an upload that goes on."""
    offset = {"upload-offset": "5", "upload-complete": "?0"}
    assert resuming.mismatched(Response(409, offset, b"", kept=True), 9)
    assert not resuming.mismatched(Response(409, offset | {"upload-complete": "?1"}, b"", kept=True), 9)
    assert not resuming.mismatched(Response(409, {}, b"", kept=True), 9)
    assert not resuming.mismatched(Response(400, offset, b"", kept=True), 9)
