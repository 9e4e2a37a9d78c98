"""bench.contests.balancers: what is measured, in which order, and what is said when it cannot be."""

import os
from pathlib import Path

import pytest

from bench.contests import balancers as contest
from bench.contests.balancers import CASES, QUICK, Balancer, Case, compare, cpu_aim, lacking
from bench.contests.chart import CPU_UNIT
from bench.peers import started
from bench.peers.loadgen import Target
from tests.unit.bench.peers.listening import listening


def test_cases_have_their_loads() -> None:
    """New connections are fewer, latency is one at a time, a part is a part."""
    kept, fresh, secure = Case(0, False, False), Case(0, True, False), Case(0, True, True)

    assert [case.name for case in (kept, secure)] == ["no body, keep-alive", "no body, new connection, TLS"]
    assert kept.load(1.0).requests > fresh.load(1.0).requests > secure.load(1.0).requests
    assert kept.load(0.1).requests * 10 == kept.load(1.0).requests
    assert kept.single(1.0).connections == 1
    paced = Case(200_000, False, False, paced=True)
    assert (paced.name, paced.load(1.0).paced) == ("200 KB as phones send, keep-alive", True)
    assert len(set(CASES)) == len(CASES)


@pytest.mark.parametrize(
    ("case", "aim"),
    [
        (Case(0, False, False), 1.5),
        (Case(20_000, False, False), 1.0),
        (Case(200_000, False, False), 0.9),
        (Case(5_000_000, False, True), 1.3),
        (Case(200_000, True, True, paced=True), 0.9),
    ],
    ids=lambda case: getattr(case, "name", ""),
)
def test_aims_are_those_of_the_specification(case: Case, aim: float) -> None:
    """By body, one for TLS, one for bodies as phones send them."""
    assert cpu_aim(case) == aim


def test_the_common_case_of_this_product_has_its_rows() -> None:
    """A phone's new TLS connection with one body in pieces."""
    names = {case.name for case in CASES}

    assert {f"{body} KB as phones send, new connection, TLS" for body in (200, 700)} <= names


async def test_a_case_gives_a_row_for_each_measure() -> None:
    """CPU with its aim first, then throughput and latency, of every balancer."""
    async with listening() as (port, _):
        balancers = {name: Balancer(os.getpid(), Target(port)) for name in ("snapsurge", "haproxy", "nginx")}
        rows = await compare(Case(0, False, False), balancers, port, QUICK)

    assert [row.unit for row in rows] == [CPU_UNIT, "requests/s", "added ms, p50", "added ms, p99"]
    assert rows[0].aim == 1.5
    assert all(row.peers.keys() == {"haproxy", "nginx"} for row in rows)


async def test_a_paced_case_is_about_cpu_alone() -> None:
    """Its requests take the time that they take."""
    async with listening() as (port, _):
        balancers = {name: Balancer(os.getpid(), Target(port)) for name in ("snapsurge", "haproxy", "nginx")}
        rows = await compare(Case(200_000, False, False, paced=True), balancers, port, QUICK)

    assert [(row.unit, row.aim) for row in rows] == [(CPU_UNIT, 0.9)]


def test_what_is_lacking_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The packages to install, and status 2."""
    monkeypatch.setattr(started, "PATH", "/nowhere")

    assert lacking() == "on Debian: apt-get install haproxy nginx openssl"
    assert contest.run(tmp_path / "lb.json", quick=True) == 2
    assert capsys.readouterr().err.count("\n") == 1
