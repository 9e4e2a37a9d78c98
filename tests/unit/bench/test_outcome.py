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


def test_a_resumed_try_cannot_set_when_the_pair_was_received() -> None:
    """It belongs to the try that had begun the upload; a ticket fixes the time for whole tries that follow."""
    began, went_on = Attempt(0, 1, 0), Attempt(2, 3, 0, resumed=True)
    again, last = Attempt(4, 5, 503, ticket=True), Attempt(6, 7, 201)
    found = Outcome(user="u", intended=0.0, attempts=(began, went_on, again, last))

    assert found.timely == (began, again)
