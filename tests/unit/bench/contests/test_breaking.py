"""One burst whose connections break, sent to a service in this process."""

import os
from contextlib import nullcontext
from datetime import UTC, datetime

import pytest
from aiohttp.test_utils import TestServer

from bench.config import DEVELOPMENT_SECRET
from bench.contests import breaking
from bench.contests.breaking import Burst, Server, met, seen
from bench.errors import BenchError
from bench.outcome import Attempt, Outcome
from bench.peers.backing import Backing
from bench.traces.trace import Row
from tests.unit.bench.fake_service import FakeService, Faults

BEHIND = Backing("", "", 0)
SERVER = Server(1, "", "m", 100.0)


def outcome(took_s: float, *tries: tuple[int, bool], received: float = 50.0, status: int = 201) -> Outcome:
    """An upload of 100 bytes; tries send so many of them."""
    attempts = [Attempt(0, took_s, 0, resumed=resumed, sent=sent) for sent, resumed in tries]
    attempts[-1] = Attempt(0, took_s, status, resumed=tries[-1][1], sent=tries[-1][0])
    at = datetime.fromtimestamp(received, UTC)
    return Outcome(user="u", intended=0, attempts=tuple(attempts), received_at=at, length=100)


def test_figures_are_of_all_uploads() -> None:
    """Bytes to the least, percentiles of all, the share on time, requests a pair."""
    outcomes = [outcome(1, (100, False)), outcome(2, (60, False), (40, True)), outcome(9, (60, False), (100, False))]
    outcomes.append(outcome(3, (100, False), received=100.001))
    found = seen(outcomes, SERVER, 7.0, 6.0)

    assert (found.sent_ratio, found.p50_ms, found.p99_ms) == (460 / 400, 2000, 9000)
    assert (found.on_time, found.store_requests, found.memory_mb, found.resumed) == (0.75, 1.5, 7.0, 1)
    assert seen(outcomes, Server(1, ""), 0, 0).on_time is None


def test_what_was_not_stored_is_counted_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    """The other figures are of those that were; a bench in which nothing was stored has measured nothing."""
    lost = outcome(99, (100, False), (9, False), status=500)
    found = seen([outcome(1, (100, False)), lost], SERVER, 0, 3)

    assert (found.lost, found.sent_ratio, found.p99_ms, found.store_requests) == (1, 1, 1000, 3)
    assert capsys.readouterr().err == "bench: 1 uploads were not stored; one was answered [0, 500]\n"
    with pytest.raises(BenchError, match="no upload was stored"):
        seen([lost], SERVER, 0, 0)


@pytest.mark.parametrize("phone", [breaking.resuming, breaking.starting_over])
async def test_a_burst_is_sent_as_its_rows_say(monkeypatch: pytest.MonkeyPatch, phone: breaking.Phone) -> None:
    """Every pair is stored once; a server without resumable uploads gets a broken pair again from its first byte."""
    monkeypatch.setattr(breaking, "READY_S", 0.0)
    monkeypatch.setattr(breaking, "SECRET", DEVELOPMENT_SECRET)
    fake = FakeService(Faults(), moments={"m": {"closes_at": "2100-01-01T00:00:00.000Z"}})
    rows = tuple(Row(t=n, u=f"u{n}", f=36_000, b=36_000, up=10**9, d=(50_000,)) for n in range(3))
    async with fake.server() as service:
        assert isinstance(service, TestServer)
        server = Server(os.getpid(), str(service.make_url("")).rstrip("/"), "m", 4e9)
        found = await met(Burst(rows, 5), lambda *_: nullcontext(server), phone, BEHIND, counts=False)

    assert len(fake.posts) == 3
    assert found.sent_ratio == pytest.approx(1 + 50_000 / 72_350, abs=0.01)
    assert (found.on_time, found.resumed, found.store_requests) == (1.0, 0, 0.0)
    assert found.memory_mb >= 0
