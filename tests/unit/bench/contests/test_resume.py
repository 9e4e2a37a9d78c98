"""bench.contests.resume: its bursts, its rows, its requests."""

import msgspec
import pytest

from bench.contests.breaking import Seen
from bench.contests.node import upload
from bench.contests.resume import (
    ANNOUNCED,
    BEFORE,
    CONTENDERS,
    FULL,
    ONCE,
    OVER,
    QUICK,
    Effort,
    alike,
    announced,
    at_hand,
    checkouts,
    drawn,
    rows_of,
    rows_of_cpu,
)
from bench.errors import BenchError
from bench.peers import tusd
from bench.peers.started import StartError
from bench.rows import OURS
from bench.traces.networks import NETWORKS
from bench.traces.synthesis import UPLINKS

OURSELVES = Seen(lost=0, sent_ratio=1.01, p50_ms=10, p99_ms=50, on_time=1.0, memory_mb=5, store_requests=1, resumed=3)
OTHERS = Seen(lost=0, sent_ratio=1.1, p50_ms=10, p99_ms=100, on_time=0.9, memory_mb=6, store_requests=1, resumed=0)
FOUND = {OURS: OURSELVES, OVER: OTHERS, "tusd": msgspec.structs.replace(OTHERS, on_time=None, store_requests=9)}


@pytest.mark.parametrize("effort", [FULL, QUICK])
def test_a_fifth_of_the_pairs_break_once(effort: Effort) -> None:
    """Anywhere, without a pause; alike in size and uplink, or mixed; all begin within the window."""
    for burst in (alike(effort), drawn(effort, effort.posters, UPLINKS, ONCE)):
        broken = [row for row in burst.rows if row.d]
        assert len(burst.rows) == effort.posters
        assert len(broken) / effort.posters == pytest.approx(0.2, abs=0.08)
        assert {len(row.breaks) for row in broken} == {1}
        assert {pause_ms for row in broken for _, pause_ms in row.breaks} == {0}
        assert burst.rows[-1].t <= burst.window_s * 1e6
    assert len({(row.f, row.b, row.up) for row in alike(effort).rows}) == 1
    assert len({row.up for row in drawn(effort, 100, UPLINKS, ONCE).rows}) == len(UPLINKS)


def test_riders_have_pauses_of_the_model() -> None:
    """5 to 30 s."""
    rows = drawn(FULL, FULL.riders, NETWORKS["subway"].uplinks, FULL.ride).rows
    pauses = [pause_ms for row in rows for _, pause_ms in row.breaks]

    assert 5000 <= min(pauses) < max(pauses) <= 30_000


def test_aims_are_for_pairs_that_are_alike() -> None:
    """Bytes and p99; who has no such figure is left out of a row."""
    rows = {row.case: row for row in rows_of("alike", FOUND, aims=True)}
    sent, p99 = rows["alike: bytes sent (ratio to the least)"], rows[f"alike: time to 201, p99 (ratio to {OVER})"]

    assert (sent.ours, sent.ratio, sent.aim, sent.met) == (1.01, 1.01, 1.03, True)
    assert (p99.ratio, p99.aim, p99.met) == (0.5, 0.6, True)
    assert set(rows["alike: on time"].peers) == {OVER}
    assert set(rows["alike: store requests"].peers) == {OVER, "tusd"} == CONTENDERS.keys() - {OURS}
    assert all(row.met is None for row in rows_of("mixed", FOUND, aims=False))
    some = {who: msgspec.structs.replace(found, lost=1) for who, found in FOUND.items()}
    assert rows_of("x", FOUND | {"tusd": some["tusd"]}, aims=False)[0].peers == {OVER: 0, "tusd": 1}
    for who in (OURS, OVER):
        with pytest.raises(BenchError, match="our node did not store 1 pairs"):
            rows_of("x", FOUND | {who: some[who]}, aims=False)


def test_the_bench_goes_on_without_tusd(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It says so; with tusd all three take part."""
    monkeypatch.setattr(tusd, "program", lambda: "/bin/tusd")
    assert at_hand() == CONTENDERS

    def missing() -> str:
        raise StartError("no Go here")

    monkeypatch.setattr(tusd, "program", missing)
    assert set(at_hand()) == {OURS, OVER}
    assert capsys.readouterr().err == "bench: without tusd: no Go here\n"


def test_an_announced_pair_is_as_our_client_sends_it() -> None:
    """The same request with the fields of the protocol and a digest."""
    pair = (b"front", b"back")
    ((head, body),), ((plain, same),) = announced("/p")("u", pair), upload("/p")("u", pair)

    assert body == same
    assert head.startswith(plain[: plain.index(b"Authorization")])
    assert b"\r\nUpload-Draft-Interop-Version: 8\r\nUpload-Complete: ?1\r\nContent-Digest: sha-256=:" in head
    assert head.endswith(b":\r\n\r\n")


def test_the_cost_of_not_using_it_is_to_another_checkout() -> None:
    """Where one was given; without one there is no ratio."""
    readings = {OURS: [1.01, 1.01], ANNOUNCED: [1.2, 1.2]}
    alone, told = rows_of_cpu(readings)
    beside, _ = rows_of_cpu(readings | {BEFORE: [1.0, 1.0]})

    assert (alone.ratio, alone.met, alone.peers) == (None, None, {})
    assert (told.ours, told.ratio) == (1.2, 1.188)
    assert (beside.ratio, beside.aim, beside.met) == (1.01, 1.02, True)
    assert checkouts(None) == [[]]
