"""bench.peers.contest: what is measured, in which order, and what is said when it cannot be."""

import os

import pytest

from bench.peers import contest, started
from bench.peers.contest import QUICK, Balancer, Case, compare, lacking, percentile, summary
from bench.peers.loadgen import Target
from bench.peers.rows import CPU_UNIT, Row
from tests.unit.bench.peers.listening import listening


def test_cases_have_their_loads() -> None:
    """New connections are fewer, latency is one at a time, a part is a part."""
    kept, fresh, secure = Case(0, False, False), Case(0, True, False), Case(0, True, True)

    assert [case.name for case in (kept, secure)] == ["no body, keep-alive", "no body, new connection, TLS"]
    assert kept.load(1.0).requests > fresh.load(1.0).requests > secure.load(1.0).requests
    assert kept.load(0.1).requests * 10 == kept.load(1.0).requests
    assert kept.single(1.0).connections == 1


def test_percentiles_are_values_that_were_seen() -> None:
    """Nearest rank."""
    values = [float(value) for value in range(1, 101)]

    assert (percentile(values, 50), percentile(values, 99), percentile([7.0], 99)) == (50.0, 99.0, 7.0)


async def test_a_case_gives_a_row_for_each_measure() -> None:
    """CPU with its aim first, then throughput and latency, of every balancer."""
    async with listening() as (port, _):
        balancers = {name: Balancer(os.getpid(), Target(port)) for name in ("snapsurge", "haproxy", "nginx")}
        rows = await compare(Case(0, False, False), balancers, port, QUICK)

    assert [row.unit for row in rows] == [CPU_UNIT, "requests/s", "added ms, p50", "added ms, p99"]
    assert rows[0].aim == 1.5
    assert all(row.peers.keys() == {"haproxy", "nginx"} for row in rows)


def test_a_row_in_a_line() -> None:
    """Met, missed, or neither."""
    row = Row(case="c", unit="u", ours=1.0, peers={"haproxy": 2.0}, ratio=0.5, aim=0.9, met=True)

    assert summary(row) == "u: 1 (haproxy 2), ratio 0.5, aim 0.9, met"


def test_what_is_lacking_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The packages to install, and status 2."""
    monkeypatch.setattr(started, "PATH", "/nowhere")

    assert lacking() == "on Debian: apt-get install haproxy nginx openssl"
    assert contest.run(quick=True) == 2
    assert capsys.readouterr().err.count("\n") == 1
