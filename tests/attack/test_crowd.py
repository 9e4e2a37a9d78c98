"""Goodput counts the phones served in time; a trial is judged by its ratio to the control, rounds and claims."""

import random
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.attack.catalogue import ATTACKS, BOTH, chosen_by
from tests.attack.crowd import PATIENCE_S, READY_S, Goodput, Visit
from tests.attack.report import ALL, line, rows, table
from tests.attack.trials import Trial
from tests.faults.checker import Finding, Verdict
from tests.faults.rounds import Played

GOOD = Visit(acknowledged_s=0.1, shown_s=1.0)
PLAYED = Played(name="7:1", store="file", faults=(), moment="m", closes_at=0, log=Path(), verdict=Verdict(ok=10))


def goodput(good: int) -> Goodput:
    """A goodput of `good` phones out of ten."""
    return Goodput.of([GOOD] * good + [Visit()] * (10 - good))


def trial(good: int, *, control: int = 10, **changes: object) -> Trial:
    """A trial of one attack with this goodput; `changes` replace its other fields."""
    made = Trial(
        name="7:1",
        attacks=("render bombs",),
        rows=(2,),
        control=goodput(control),
        beside=goodput(good),
        rounds=(PLAYED, PLAYED),
        evidence={"render bombs": "12 bombs"},
    )
    return replace(made, **changes)


@pytest.mark.parametrize(
    ("visit", "acknowledged", "good"),
    [
        (Visit(), False, False),
        (Visit(acknowledged_s=PATIENCE_S), True, False),
        (Visit(acknowledged_s=PATIENCE_S, shown_s=READY_S), True, True),
        (Visit(acknowledged_s=PATIENCE_S + 0.1, shown_s=1.0), False, False),
        (Visit(acknowledged_s=1.0, shown_s=READY_S + 0.1), True, False),
    ],
)
def test_a_phone_counts_when_both_came_in_time(visit: Visit, *, acknowledged: bool, good: bool) -> None:
    """The acknowledgement and the picture count up to and including their bounds."""
    found = Goodput.of([visit])
    assert (found.acknowledged, found.good) == (acknowledged, good)


def test_times_are_of_those_that_came() -> None:
    """Quantiles are in ms and leave out phones without a time; they are 0 for an empty crowd."""
    visits = [Visit(acknowledged_s=number / 10, shown_s=1.0) for number in range(1, 11)]

    found = Goodput.of([*visits, Visit()])

    assert (found.phones, found.p50_ms, found.p90_ms, found.max_ms, found.shown_max_ms) == (11, 600, 1000, 1000, 1000)
    assert Goodput.of([Visit()]).max_ms == 0


@pytest.mark.parametrize(("good", "control", "held"), [(9, 10, True), (8, 10, False), (9, 9, True), (10, 9, True)])
def test_honest_goodput_is_measured_by_the_control(good: int, control: int, *, held: bool) -> None:
    """Goodput must be at least nine tenths of the control's."""
    assert trial(good, control=control).held is held


def test_one_broken_promise_is_enough() -> None:
    """A finding in either round, a broken claim of the attack, or a round without a verdict fails the trial."""
    lost = replace(PLAYED, verdict=Verdict(findings=(Finding("lost", "u", "why"),)))

    assert trial(10).held
    assert not trial(10, rounds=(lost, PLAYED)).held
    assert not trial(10, rounds=(PLAYED, lost)).held
    assert not trial(10, rounds=(PLAYED, replace(PLAYED, verdict=None))).held
    assert not trial(10, broken=("render bombs: a worker was killed",)).held


def test_the_table_shows_the_worst_and_leaves_void_trials_out() -> None:
    """The table has a row for each attack, with its row number in the issue, and a row for all attacks."""
    lost = replace(PLAYED, verdict=Verdict(findings=(Finding("lost", "u", "why"),)))
    void = trial(0, void={"control": "busy"})
    found = {row.case: row for row in rows([trial(9), trial(8, rounds=(PLAYED, lost)), trial(10), void])}

    assert set(found) == {"render bombs", ALL}
    row = found["render bombs"]
    assert (row.row, row.times, row.void, row.ratio, row.ours, row.met) == (2, 3, 1, 0.8, 0.8, False)
    assert row.broken == {"lost": 1}
    assert row.evidence == "12 bombs"
    assert "1 lost" in table(list(found.values()))
    assert rows([]) == []
    assert "BROKEN" in line(trial(8))
    assert "void" in line(void)


def test_the_seed_chooses_attacks_of_different_targets() -> None:
    """The same seed gives the same attacks, never one that must run alone; every attack and issue row is reachable."""
    for store in BOTH:
        seen = set()
        for seed in range(300):
            chosen = chosen_by(random.Random(f"7:{seed}"), store)
            assert chosen == chosen_by(random.Random(f"7:{seed}"), store)
            assert len({one.target for one in chosen}) == len(chosen) <= 3
            seen |= {one.name for one in chosen}
        assert seen == {one.name for one in ATTACKS if store in one.stores and not one.alone}
    assert {one.row for one in ATTACKS} == set(range(11))
