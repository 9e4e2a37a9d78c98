"""lb.membership.overrides: what an operator may change."""

import pytest

from lb.membership.overrides import OverrideError, Overrides
from lb.placement.node import Member

A, B = Member(id="a", address="h:1"), Member(id="b", address="h:2", state="draining")
C = Member(id="c", address="h:3")
KNOWN = {"a": A, "b": B}
NONE = Overrides()


def test_changes_lie_over_what_nodes_say() -> None:
    """Added, drained, re-weighed; all else is as announced."""
    made = NONE.add(C, KNOWN).drain("a", KNOWN).weigh("c", 5, KNOWN)
    found = made.over(KNOWN)

    assert NONE.over(KNOWN) == KNOWN
    assert {name: (member.state, member.weight) for name, member in found.items()} == {
        "a": ("drained", 1),
        "b": ("draining", 1),
        "c": ("serving", 5),
    }
    assert made.undrain("a", KNOWN).over(KNOWN)["a"] == A


def test_a_removed_node_stays_out_until_it_is_added() -> None:
    """Though it goes on beating; what was said of it before is forgotten."""
    gone = NONE.weigh("a", 7, KNOWN).remove("a", KNOWN)
    assert set(gone.over(KNOWN)) == {"b"}
    back = gone.add(A, KNOWN)
    assert back.over(KNOWN)["a"] == A
    assert set(NONE.add(C, KNOWN).remove("c", KNOWN).over(KNOWN)) == {"a", "b"}


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        (lambda: NONE.add(A, KNOWN), 409, "node a is a member at h:1"),
        (lambda: NONE.remove("x", KNOWN), 404, "no node x"),
        (lambda: NONE.drain("x", KNOWN), 404, "no node x"),
        (lambda: NONE.weigh("x", 1, KNOWN), 404, "no node x"),
        (lambda: NONE.weigh("a", 101, KNOWN), 400, "weight 101"),
        (lambda: NONE.weigh("a", -1, KNOWN), 400, "weight -1"),
        (lambda: NONE.undrain("a", KNOWN), 409, "is not drained"),
        (lambda: NONE.undrain("b", KNOWN), 409, "by its own decision"),
        (lambda: NONE.remove("a", {"a": A}), 409, "the last one"),
        (lambda: NONE.add(Member(id="n", address="h:1"), {str(n): A for n in range(1023)}), 409, "1023 nodes already"),
    ],
)
def test_what_cannot_be_is_said(change, status: int, words: str) -> None:  # noqa: ANN001
    """Each refusal has a status and one line."""
    with pytest.raises(OverrideError, match=words) as raised:
        change()
    assert raised.value.status == status
