"""The lease rules, and one state machine for both who keep them: a plain model, and the scripts on a real Redis."""

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from storage.queue.jobs import Job
from storage.queue.lease import (
    FAIR_TURNS,
    POISON_LAPSES_MAX,
    Again,
    Attempts,
    Claimed,
    Done,
    Settlement,
    Share,
    beat_s,
    is_poison,
    order,
)
from tests.unit.storage.queue.lease_model import LEASE_S, Ledger, Model

T = TypeVar("T")

# Sums of these never come within ten seconds of the lease or of DEFER_S: a test machine may dawdle.
PASSING_S = (25.0, 70.0)
DEFER_S = 40.0
# Between any two steps, so that what was queued earlier is due earlier on both sides.
STEP_S = 0.002


def lapsed(lapses: int, deaths: int) -> Claimed:
    """A job claimed after so many lapses, so many workers having died lately."""
    return Claimed("job", b"", "arq:queue", "w:1", Attempts(lapses=lapses), 0.0, deaths)


def test_the_most_urgent_queue_leads_and_each_has_its_turn() -> None:
    """Within so many claims every queue led at least once, and every claim asks every queue once."""
    orders = [order("abcd", turn) for turn in range(4 * FAIR_TURNS)]

    assert all(sorted(one) == list("abcd") for one in orders)
    assert {one[0] for one in orders} == set("abcd")
    assert [one[0] for one in orders].count("a") == 4 * FAIR_TURNS - 3
    assert orders[2 * FAIR_TURNS - 1] == list("bacd")


@pytest.mark.parametrize(
    ("lapses", "deaths", "poison"),
    [(1, 1, False), (2, 0, False), (2, 2, True), (2, 4, True), (2, 5, False), (5, 11, False), (6, 1000, True)],
)
def test_two_lapses_make_poison_but_in_a_storm_of_kills(lapses: int, deaths: int, *, poison: bool) -> None:
    """Where many workers die, dying with one proves little; six times is enough anywhere."""
    assert is_poison(lapsed(lapses, deaths)) is poison


@given(lapses=st.integers(0, 20), deaths=st.integers(1, 100))
def test_lapses_are_bounded(lapses: int, deaths: int) -> None:
    """More lapses never make a job less suspect, and some number is always enough."""
    assert not is_poison(lapsed(lapses, deaths)) or is_poison(lapsed(lapses + 1, deaths))
    assert is_poison(lapsed(POISON_LAPSES_MAX, deaths))


def test_dear_jobs_get_a_quarter_of_the_time_while_there_are_others() -> None:
    """After ten seconds for one there is none for thirty, unless nothing else comes for a second."""
    share = Share()
    assert share.allows(0)
    share.others(10)
    share.spent(10, 10)

    share.others(39)
    assert not share.allows(39.5)
    assert share.allows(40)
    share.others(20)
    assert not share.allows(20.9)
    assert share.allows(21)


def test_a_lease_outlives_two_lost_beats() -> None:
    """Beats come three to a lease."""
    assert 2 * beat_s(LEASE_S) < LEASE_S <= 3 * beat_s(LEASE_S)


class Leases(RuleBasedStateMachine):
    """Workers that claim, beat, die, come back as zombies, fail and finish, beside the model."""

    make_real: Callable[[], Ledger]
    runner: asyncio.Runner

    def __init__(self) -> None:
        super().__init__()
        self.model: Ledger = Model()
        self.real = type(self).make_real()
        self.turns = itertools.count()
        self.enqueued: set[str] = set()
        self.finished: set[str] = set()
        self.runs: dict[str, int] = {}
        self.claimed: list[tuple[Claimed, Claimed]] = []
        self.twice = False
        self.ended: list[tuple[tuple[Claimed, Claimed], str]] = []
        self.released: list[str] = []

    def both(self, ask: Callable[[Ledger], Coroutine[Any, Any, T]]) -> tuple[T, T]:
        """Ask the model and the real one."""

        async def asked() -> tuple[T, T]:
            return await ask(self.model), await ask(self.real)

        return type(self).runner.run(asked())

    def sent(self, ledger: Ledger, ask: Callable[[Ledger], Coroutine[Any, Any, T]]) -> T:
        """Ask one of them; while scripts run `twice`, the real one a second time, as when the first answer was lost."""
        answer = type(self).runner.run(ask(ledger))
        if self.twice and ledger is self.real:
            type(self).runner.run(ask(ledger))
        return answer

    @rule(twice=st.booleans())
    def failing_over(self, *, twice: bool) -> None:
        """From now on every script but a claim runs twice, or no longer: a caller without an answer asks again."""
        self.twice = twice

    @rule(
        name=st.sampled_from(["render_pair", "flag_late", "complete_media"]),
        post=st.sampled_from("abcd"),
        late=st.booleans(),
    )
    def enqueue(self, name: Any, post: str, *, late: bool) -> None:
        """A node queues a job, perhaps again."""
        job = Job(name, "m", post, late)
        if job.id not in self.finished:
            self.enqueued.add(job.id)
            for ledger in (self.model, self.real):
                self.sent(ledger, lambda one: one.enqueue(job))

    @rule(free=st.integers(1, 3))
    def claim(self, free: int) -> None:
        """A worker claims: both give the same jobs with the same past."""
        token = f"worker-{next(self.turns)}:1"
        model, real = self.both(lambda ledger: ledger.claim(token, free))
        assert [(one.id, one.queue, one.attempts) for one in model] == [
            (one.id, one.queue, one.attempts) for one in real
        ]
        self.claimed += zip(model, real, strict=True)
        for one in model:
            self.runs[one.id] = self.runs.get(one.id, 0) + 1

    @precondition(lambda self: self.claimed)
    @rule(data=st.data())
    def beat(self, data: st.DataObject) -> None:
        """Somebody, perhaps a zombie, extends what it believes to hold: both agree on what it lost."""
        at = data.draw(st.integers(0, len(self.claimed) - 1))
        mine = [pair for pair in self.claimed if pair[0].token == self.claimed[at][0].token]
        lost_by_model = self.sent(self.model, lambda ledger: ledger.extend([one for one, _ in mine]))
        lost = self.sent(self.real, lambda ledger: ledger.extend([one for _, one in mine]))
        assert {one.id for one in lost_by_model} == {one.id for one in lost}

    @precondition(lambda self: self.claimed)
    @rule(data=st.data(), end=st.sampled_from(["done", "dead", "fault", "outage", "back"]))
    def settle(self, data: st.DataObject, end: str) -> None:
        """Somebody, perhaps a zombie, says how a job ended: accepted once a claim, refused when fenced."""
        pair = self.claimed[data.draw(st.integers(0, len(self.claimed) - 1))]
        kept = self.settled(pair, end)
        assert kept[0] == kept[1]
        self.ended.append((pair, end))
        if kept[0] == [True] and end in {"done", "dead"}:
            self.finished.add(pair[0].id)

    def settled(self, pair: tuple[Claimed, Claimed], end: str) -> list[list[bool]]:
        """What both answer to this settlement."""
        model, real = (ended(one, end) for one in pair)
        return [
            self.sent(self.model, lambda ledger: ledger.settle([model])),
            self.sent(self.real, lambda ledger: ledger.settle([real])),
        ]

    @precondition(lambda self: self.ended)
    @rule(data=st.data())
    def settle_again(self, data: st.DataObject) -> None:
        """A settlement arrives a second time, however late: refused, since its claim's token is good for one."""
        pair, end = self.ended[data.draw(st.integers(0, len(self.ended) - 1))]
        assert self.settled(pair, end) == [[False], [False]]

    @precondition(lambda self: self.released)
    @rule(data=st.data())
    def release_again(self, data: st.DataObject) -> None:
        """The same of a claim that was taken back: nothing is left to take back."""
        token = self.released[data.draw(st.integers(0, len(self.released) - 1))]
        assert self.both(lambda ledger: ledger.release(token)) == (0, 0)

    @rule(seconds=st.sampled_from(PASSING_S))
    def passing(self, seconds: float) -> None:
        """Time passes; leases end of workers that did not beat."""
        self.both(lambda ledger: ledger.passing(seconds))

    @rule(data=st.data())
    def lose_an_answer(self, data: st.DataObject) -> None:
        """A claim whose answer is lost is taken back by its token: as if it had not been."""
        token = f"worker-{next(self.turns)}:1"
        free = data.draw(st.integers(1, 3))
        model, real = self.both(lambda ledger: ledger.claim(token, free))
        assert [one.id for one in model] == [one.id for one in real]
        for one in model:
            self.runs[one.id] = self.runs.get(one.id, 0) + 1
        released = [self.sent(ledger, lambda one: one.release(token)) for ledger in (self.model, self.real)]
        assert released == [len(model), len(model)]
        self.released.append(token)

    @rule(free=st.integers(1, 3))
    def claim_after_its_release(self, free: int) -> None:
        """A claim arrives after the release that should have undone it: its jobs lapse, as those of a dead worker."""
        token = f"worker-{next(self.turns)}:1"
        assert self.both(lambda ledger: ledger.release(token)) == (0, 0)
        model, real = self.both(lambda ledger: ledger.claim(token, free))
        assert [one.id for one in model] == [one.id for one in real]
        for one in model:
            self.runs[one.id] = self.runs.get(one.id, 0) + 1

    @invariant()
    def time_passes(self) -> None:
        """A little."""
        self.both(lambda ledger: ledger.passing(STEP_S))

    @invariant()
    def nobody_is_lost(self) -> None:
        """Every job is queued or finished, in the model, which the claims show to be the truth."""
        assert isinstance(self.model, Model)
        assert self.enqueued == self.model.queued.keys() | self.finished

    @invariant()
    def every_run_is_counted_once(self) -> None:
        """A run counts as a fault, an outage or a lapse, or was handed back: never more runs counted than begun."""
        assert isinstance(self.model, Model)
        for job_id, attempts in self.model.attempts.items():
            assert attempts.runs - 1 <= self.runs.get(job_id, 0)

    def teardown(self) -> None:
        """In the end, with every worker gone, a last one gets exactly what is not finished."""
        self.both(lambda ledger: ledger.passing(PASSING_S[1] + PASSING_S[1]))
        model, real = self.both(lambda ledger: ledger.claim("last:1", 100))
        assert {(one.id, one.attempts) for one in model} == {(one.id, one.attempts) for one in real}
        assert {one.id for one in real} == self.enqueued - self.finished
        letters = self.both(lambda ledger: ledger.dead())
        assert letters[0] == letters[1]


def ended(claimed: Claimed, end: str) -> Settlement:
    """The settlement of this kind."""
    before = claimed.attempts
    match end:
        case "done":
            return Done(claimed)
        case "dead":
            return Done(claimed, b"{}")
        case "fault":
            return Again(claimed, Attempts(before.faults + 1, before.outages, before.lapses), DEFER_S)
        case "outage":
            return Again(claimed, Attempts(before.faults, before.outages + 1, before.lapses), DEFER_S)
    return Again(claimed, before)
