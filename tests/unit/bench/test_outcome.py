"""An upload's end as its phone saw it."""

from bench.outcome import Attempt, Outcome


def outcome(*statuses: int) -> Outcome:
    """Tries of a second each."""
    tries = tuple(Attempt(number, number + 1, status) for number, status in enumerate(statuses))
    return Outcome(user="u", intended=0.0, attempts=tries)


def test_the_last_try_decides() -> None:
    """201 and 200 acknowledge, nothing else does."""
    assert outcome(503, 201).acknowledged
    assert outcome(0, 200).acknowledged
    assert not outcome(503, 409).acknowledged
    assert (outcome(503, 409).status, outcome(503, 409).finished) == (409, 2)


def test_any_answer_makes_an_outcome_known() -> None:
    """Unknown is only what met no answer at all."""
    assert outcome(503, 0).answered
    assert not outcome(0, 0).answered
