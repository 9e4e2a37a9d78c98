"""storage.s3.choice: which endpoint gets a read, a change, and a change that only tests the store."""

import pytest

from storage.s3.choice import chosen, others
from storage.s3.endpoint import Endpoint, State


def made(*states: State, agree: str = "") -> list[Endpoint]:
    """Endpoints a, b, … in these states; these `agree`."""
    found = [Endpoint(f"http://{chr(ord('a') + number)}", None, 1.0) for number, _ in enumerate(states)]
    for one, state in zip(found, states, strict=True):
        one.state, one.agrees = state, one.url[-1] in agree
    return found


def name(found: Endpoint | None) -> str:
    """The endpoint's letter."""
    return found.url[-1] if found else ""


UP, APART, READS, DOWN, UNFIT = State.UP, State.APART, State.READS, State.DOWN, State.UNFIT


@pytest.mark.parametrize(
    ("states", "read", "trial", "change"),
    [
        ([APART, READS, UP], "c", "c", "c"),
        ([READS, APART, DOWN], "a", "b", ""),
        ([DOWN, READS, UNFIT], "b", "", ""),
        ([UNFIT, DOWN], "b", "", ""),
        ([UNFIT, UNFIT], "", "", ""),
        ([UNFIT], "", "", ""),
        ([READS], "a", "", ""),
        ([DOWN], "a", "a", "a"),
    ],
)
def test_the_best_state_is_chosen(states: list[State], read: str, trial: str, change: str) -> None:
    """A change goes to those that serve only; one endpoint alone is used as if nobody checked; an unfit one never."""
    found = made(*states)
    assert name(chosen(found, writes=False, trial=False)) == read
    assert name(chosen(found, writes=True, trial=True)) == trial
    assert name(chosen(found, writes=True, trial=False)) == change


def test_a_silent_one_that_agreed_is_used_where_all_are_down() -> None:
    """The check may err."""
    found = made(DOWN, DOWN, agree="b")
    assert name(chosen(found, writes=True, trial=False)) == "b"


def test_the_least_busy_one_that_was_not_tried_is_chosen() -> None:
    """Then one that does not agree, for a read; then one that was tried."""
    found = made(UP, UP, APART)
    found[0].busy = 1
    assert name(chosen(found, writes=False, trial=False)) == "b"
    assert name(chosen(found, writes=False, trial=False, tried=found[1:2])) == "a"
    assert name(chosen(found, writes=False, trial=False, tried=found[:2])) == "c"
    assert name(chosen(found, writes=True, trial=False, tried=found[:2])) == "b"
    assert others(found, found[:2])
    assert not others(found, found)
