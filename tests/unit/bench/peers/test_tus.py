"""A phone of the tus protocol, at a server on real sockets."""

import asyncio

import pytest

from bench.client import multipart
from bench.config import Config
from bench.connections import Connections
from bench.outcome import Break, Outcome, Upload
from bench.peers.tus import TusPhone
from tests.unit.bench.fake_service import MiddleRng
from tests.unit.bench.resumable import Resumable, TurningClock

BODY = multipart(b"f" * 200_000, b"b" * 100_000)
LENGTH = len(BODY)
QUICK = Config(backoff_floor_s=0.2, backoff_max_s=0.2, answer_timeout_s=60, attempts_max=4)


class Tus(Resumable):
    """As the server of the other protocol, but an upload is created without bytes, and all stored is a 204."""

    refused: int = 0

    async def _answer(
        self, head: str, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes | None:
        assert self.said(number, "Tus-Resumable") == "1.0.0"
        if not head.startswith("POST"):
            answer = await super()._answer(head, number, reader, writer)
            return answer and answer.replace(b"201 Created", b"204 No Content")
        if self.due("refused"):
            return b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"
        assert self.said(number, "Upload-Length") == str(LENGTH)
        return b"HTTP/1.1 201 Created\r\nLocation: http://127.0.0.1/files/a\r\nContent-Length: 0\r\n\r\n"


async def sent(server: Tus, *breaks: Break) -> Outcome:
    """The outcome of one upload."""
    clock = TurningClock()
    upload = Upload(moment_id="", user="u", bearer="", body=BODY, intended=0.0, breaks=breaks)
    async with asyncio.timeout(60), server.serving() as url, Connections(1, clock) as connections:
        return await TusPhone(connections, url, QUICK, clock, MiddleRng()).send(upload)


async def test_a_pair_is_created_and_then_sent() -> None:
    """On one connection; all stored counts as a 201."""
    server = Tus()
    outcome = await sent(server)

    assert server.methods() == ["POST", "PATCH"]
    assert server.done == BODY
    assert (outcome.status, outcome.acknowledged, outcome.length) == (201, True, LENGTH)


async def test_after_a_break_the_rest_is_sent() -> None:
    """From the offset that the server tells; no byte twice."""
    server = Tus()
    outcome = await sent(server, Break(100_000, 7.0), Break(LENGTH - 1, 0.0))

    assert server.methods() == ["POST", "PATCH", "HEAD", "PATCH", "HEAD", "PATCH"]
    assert server.done == BODY
    assert [attempt.resumed for attempt in outcome.attempts] == [False, True, True]
    assert sum(attempt.sent for attempt in outcome.attempts) == LENGTH
    assert outcome.attempts[1].started - outcome.attempts[0].finished == pytest.approx(7.0)


async def test_what_is_gone_is_created_again() -> None:
    """The next try begins anew."""
    server = Tus(forget=1)
    outcome = await sent(server, Break(100_000, 0.0))

    assert server.methods() == ["POST", "PATCH", "HEAD", "POST", "PATCH"]
    assert [attempt.status for attempt in outcome.attempts] == [0, 423, 201]
    assert server.done == BODY


async def test_an_offset_that_cannot_be_is_no_acknowledgement() -> None:
    """The HEAD succeeded, and told an offset behind the end: the phone asks again, and sends the rest."""
    server = Tus(behind=-2 * LENGTH)
    outcome = await sent(server, Break(100_000, 0.0))

    assert server.methods() == ["POST", "PATCH", "HEAD", "HEAD", "PATCH"]
    assert [attempt.status for attempt in outcome.attempts] == [0, 423, 201]
    assert server.done == BODY


async def test_a_refusal_is_final_and_tries_are_bounded() -> None:
    """Another status than 5xx and 423; four tries, by the settings."""
    server = Tus()
    server.refused = 1
    assert [attempt.status for attempt in (await sent(server)).attempts] == [413]
    outcome = await sent(Tus(away=9), Break(100_000, 0.0))
    assert [attempt.status for attempt in outcome.attempts] == [0, 503, 503, 503]
