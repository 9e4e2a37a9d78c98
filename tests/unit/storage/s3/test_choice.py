"""storage.s3.choice: which endpoint gets a read, a change, and a change that only tests the store."""

import pytest

from storage.s3.choice import chosen, hides, others, too_few
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


@pytest.mark.parametrize(("members", "away"), [(3, 1), (5, 1), (6, 2), (8, 2), (9, 3)])
def test_a_minio_takes_changes_while_a_third_of_its_members_is_away(members: int, away: int) -> None:
    """And one more is too many; tests are sent all the same, and reads."""
    for down in (away, away + 1):
        found = made(*[UP] * (members - down), *[DOWN] * down)
        assert chosen(found, writes=True, trial=False) is not None  # no member told a quorum: it is no MinIO
        found[0].write_quorum = members // 2 + 1
        assert too_few(found) == (down > away)
        assert (chosen(found, writes=True, trial=False) is None) == (down > away)
        assert chosen(found, writes=True, trial=True) is not None
        assert chosen(found, writes=False, trial=False) is not None


@pytest.mark.parametrize(
    ("members", "quorum", "may"),
    [
        (1, 4, False),
        (2, 2, False),
        (2, 3, False),
        (2, 5, True),
        (3, 0, False),
        (3, 2, True),
        (3, 4, True),
        (4, 3, False),
        (4, 5, True),
    ],
)
def test_sets_whose_write_quorums_share_half_of_the_copies_hide_nothing(
    members: int, quorum: int, *, may: bool
) -> None:
    """Sets of two or four drives; no other."""
    found = made(*[UP] * members)
    found[-1].write_quorum = quorum
    assert hides(found) is may
