"""bench.contests.pair: the rows of a whole pair, and a round that waits until every pair is ready."""

import itertools

import pytest

from bench.contests import pair
from bench.contests.pair import AIM, OUR_WORKER, PARTS, Pipeline, rows
from bench.rows import OURS


def reading(*parts: float) -> dict[str, float]:
    """CPU ms of each part."""
    return dict(zip(PARTS, parts, strict=True))


@pytest.mark.parametrize(("ours", "met"), [(90.0, True), (91.0, False)])
def test_the_whole_pair_has_the_aim_and_each_part_its_row(ours: float, met: bool) -> None:  # noqa: FBT001
    """The ratio is that of the sums: 200 ms of the other one, at most 0.45 of it."""
    first, *others = rows({OURS: [reading(ours, 0, 0, 0, 0)], pair.RIVAL: [reading(20, 30, 5, 45, 100)]})

    assert (first.ours, first.peers, first.aim, first.met) == (ours, {"textbook": 200.0}, AIM, met)
    assert [row.case.partition(", ")[2] for row in others] == list(PARTS)
    assert all(row.aim is None for row in others)


def test_our_worker_makes_every_rendition() -> None:
    """It may not leave any for later, which the other one never does."""
    assert float(OUR_WORKER["SNAPSURGE_PROCESSORS_DEGRADE_S"]) > pair.READY_S


async def test_a_round_ends_when_its_pairs_are_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were ready before do not count; one that is never ready ends the bench."""
    monkeypatch.setattr(pair, "PHONES", 0)
    monkeypatch.setattr(pair, "LOOK_S", 0.0)
    known = iter([7, 8, 9, 10])
    pids = dict.fromkeys(PARTS, 0)
    done = await pair.through(Pipeline(0, pids, lambda *_: [], lambda: next(known)), itertools.count(), [], 3)

    assert done.keys() == set(PARTS)
    assert next(known, None) is None
    monkeypatch.setattr(pair, "READY_S", 0.0)
    with pytest.raises(pair.started.StartError, match="3 of 3 pairs are not ready"):
        await pair.through(Pipeline(0, pids, lambda *_: [], lambda: 7), itertools.count(), [], 3)
