"""lb.placement.standing: ranks and panic."""

import pytest

from lb.placement.health import Health, State
from lb.placement.node import Member, Node
from lb.placement.policy import Rank
from lb.placement.standing import rank_nodes


def node(letter: str, *, weight: int = 1, zone: str = "") -> Node:
    """A node by the first letter of its state; `r` is dead because it refused."""
    state = {"j": "joining", "h": "healthy", "s": "suspect", "d": "dead", "r": "dead", "l": "draining"}[letter]
    health = Health(state=State(state), since=0.0, reason="", refused=letter == "r")
    return Node(Member(id=letter, address="h:1", weight=weight, zone=zone), health)


@pytest.mark.parametrize(
    ("states", "preferred", "panic"),
    [
        ("hhh", "hhh", False),
        ("hsd", "hsd", True),
        ("hhsd", "hh", False),
        ("hs", "h", False),
        ("s", "s", True),
        ("d", "d", True),
        ("r", "", False),
        ("hrr", "h", False),
        ("hrrds", "hds", True),
        ("jjj", "", False),
        ("hjj", "h", False),
        ("lld", "d", True),
        ("hll", "h", False),
        ("", "", False),
    ],
)
def test_judgements_eject_at_most_half(states: str, preferred: str, *, panic: bool) -> None:
    """More ejected than healthy, and the ejected are used; the refused, joining and draining count on neither side."""
    standing = rank_nodes([node(letter) for letter in states], "")

    assert "".join(found.member.id for found in standing.preferred) == preferred
    assert (standing.panic, standing.weight) == (panic, len(preferred))


def test_weight_decides_and_zero_is_nobody() -> None:
    """One heavy healthy node outweighs two light sick ones; a node without weight takes nothing."""
    heavy, idle = node("h", weight=3, zone="a"), node("h", weight=0, zone="a")
    standing = rank_nodes([heavy, idle, node("s"), node("d")], "a")

    assert standing.preferred == [heavy]
    assert (standing.zone_weight, standing.panic) == (3, False)


def test_ranks_are_marked_on_the_nodes() -> None:
    """Suspect and joining are the last resort, dead is never."""
    nodes = [node(letter) for letter in "hhhjsdrl"]
    rank_nodes(nodes, "")

    assert [found.rank for found in nodes[3:]] == [
        Rank.LAST_RESORT,
        Rank.LAST_RESORT,
        Rank.NEVER,
        Rank.NEVER,
        Rank.NEVER,
    ]
    assert [found.open for found in nodes] == [True] * 3 + [False] * 5
