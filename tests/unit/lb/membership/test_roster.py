"""lb.membership.roster: who is a member by heartbeat."""

import pytest

from lb.membership.roster import Poll, Roster
from lb.placement.node import Member

A, B = Member(id="a", address="h:1"), Member(id="b", address="h:2")
NOBODY: frozenset[str] = frozenset()


def full(*members: Member, late: str = "", beatless: str = "", left: str = "") -> Poll:
    """A poll at everything."""
    fresh = len(members) - len(late) - len(beatless)
    changed = {member.id: member for member in members}
    changed |= dict.fromkeys(left)
    sets = {"late": frozenset(late), "beatless": frozenset(beatless), "left": frozenset(left)}
    return Poll(changed=changed, fresh=fresh, full=True, **sets)


def change(*, late: str = "", fresh: int = 1, **changed: Member | None) -> Poll:
    """A poll at what changed."""
    return Poll(changed=changed, late=frozenset(late), fresh=fresh)


def roster(*polls: tuple[float, Poll], kept: tuple[Member, ...] = ()) -> Roster:
    """After these polls, ten seconds of silence being the end."""
    made = Roster(kept, now=0.0, gone_s=10.0)
    for now, poll in polls:
        made.apply(poll, now)
    return made


@pytest.mark.parametrize(
    ("polls", "members", "silent"),
    [
        ([(0.0, full(A, B))], "ab", ""),
        ([(0.0, full(A, B)), (5.0, change())], "ab", ""),
        ([(0.0, full(A, B)), (5.0, change(late="b"))], "ab", "b"),
        ([(0.0, full(A, B)), (11.0, change(late="b"))], "a", ""),
        ([(0.0, full(A, B)), (11.0, change(late="b")), (12.0, change())], "ab", ""),
        ([(0.0, full(A, B)), (50.0, change(late="ab", fresh=0))], "ab", ""),
        ([(0.0, full(A, B)), (50.0, full())], "ab", ""),
        ([(0.0, full(A, B)), (1.0, change(b=None))], "a", ""),
        ([(0.0, full(A)), (1.0, change(b=B))], "ab", ""),
        ([(0.0, full(A, B)), (5.0, full(A))], "ab", ""),
        ([(0.0, full(A, B)), (5.0, full(A, left="b"))], "a", ""),
        ([(0.0, full(A, B)), (11.0, full(A))], "a", ""),
        ([(0.0, full(A, B, beatless="b")), (1.0, change())], "a", ""),
        ([(0.0, full(A, B, beatless="b")), (1.0, change(b=B))], "ab", ""),
    ],
)
def test_silence_removes_a_node_but_never_all(polls: list[tuple[float, Poll]], members: str, silent: str) -> None:
    """Late is silent, ten seconds are the end, a beat brings it back; while nobody beats, everybody stays."""
    found = roster(*polls)

    assert "".join(member.id for member in found.members()) == members
    assert "".join(sorted(found.silent)) == silent


def test_the_snapshot_holds_until_others_beat() -> None:
    """Members of a snapshot stay while Redis is empty, and age like all others once somebody beats."""
    assert roster((60.0, full()), kept=(A, B)).members() == [A, B]
    assert roster((5.0, full(A)), kept=(A, B)).members() == [A, B]
    assert roster((5.0, full(A)), (11.0, change()), kept=(A, B)).members() == [A]


def test_a_changed_entry_is_taken() -> None:
    """The newest word counts."""
    draining = Member(id="a", address="h:1", state="draining")

    assert roster((0.0, full(A)), (1.0, change(a=draining))).members() == [draining]


@pytest.mark.parametrize("lost", [True, False])
def test_an_outage_is_no_silence_of_a_node(lost: bool) -> None:  # noqa: FBT001 - of pytest
    """Redis is back, empty or not, and one node writes before the others: they are silent for a while, not gone."""
    found = roster((0.0, full(A, B)))
    if lost:
        found.missed()
    else:
        found.apply(change(late="ab", fresh=0), 7.0)
    found.apply(full(A), 14.0)
    assert found.members() == [A, B]
    found.apply(change(), 24.0)
    assert found.members() == [A]


def test_a_node_is_gone_although_polls_fail_now_and_then() -> None:
    """Only the time of the outages does not count."""
    found = roster((0.0, full(A, B)))
    for second in (3.0, 6.0, 9.0, 12.0):
        found.apply(change(late="b"), second)
        found.missed()
    assert found.members() == [A, B]
    for second in (13.0, 16.0, 19.0, 22.0):
        found.apply(change(late="b"), second)
        found.apply(change(late="b"), second + 2)
        found.missed()
    assert found.members() == [A]
