"""bench.contests.chunked: a row for each size of chunks, and what it is compared with."""

import os

import pytest

from bench.contests.balancers import Balancer
from bench.contests.chunked import AIM, CASES, SMALL_AIM, UNIT, Chunks, compare
from bench.peers.loadgen import Target
from tests.unit.bench.peers.listening import listening


def test_each_case_compares_the_same_bytes() -> None:
    """As many requests and connections in both framings; sizes of real clients have one aim."""
    for case in CASES:
        length, chunked = (case.load(0.5, chunked=chunked) for chunked in (False, True))
        assert (length.chunk, chunked.chunk) == (0, case.kib * 1024)
        assert (length.body, length.requests, length.connections) == (
            chunked.body,
            chunked.requests,
            chunked.connections,
        )
    assert {case.aim for case in CASES if case.kib >= 4} == {AIM}
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize(("kib", "aim"), [(1, SMALL_AIM), (32, AIM)])
async def test_a_case_gives_one_row(kib: int, aim: float) -> None:
    """The cost of a chunked request of each balancer, and our own ratio."""
    async with listening() as (port, _):
        balancers = {name: Balancer(os.getpid(), Target(port)) for name in ("snapsurge", "haproxy")}
        row = await compare(Chunks(400_000, kib), balancers, rounds=2, part=0.01)

    assert (row.unit, row.aim) == (UNIT, aim)
    assert row.ratio is not None
    assert row.ratio > 0
    assert row.peers.keys() == {"haproxy"}
