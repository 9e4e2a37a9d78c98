"""lb.placement.refusals: a retry goes on along its key's order, and starts over when all have refused."""

from hypothesis import given
from hypothesis import strategies as st

from lb.placement.fleet import Fleet
from lb.placement.health import Event
from lb.placement.node import Node
from lb.placement.refusals import POSITIONS, noted, refusers
from tests.unit.lb.placement.test_fleet import KEYS, fleet

ORDER = "cabdefghij"


def test_places_are_those_of_the_order() -> None:
    """Bit 0 is the home; places beyond the last bit are not noted."""
    assert refusers(ORDER, 0b101) == ["c", "b"]
    assert noted(ORDER, "a", 0b001, ORDER) == 0b011
    assert noted(ORDER, "j", 0b001, ORDER) == 0b001
    assert noted("ab", "gone", 0b001, "ab") == 0b001


@given(st.permutations("abcdef"), st.sets(st.sampled_from("abcdef"), max_size=5))
def test_each_usable_node_is_tried_before_any_is_tried_again(order: list[str], dead: set[str]) -> None:
    """Whoever of them all is usable."""
    usable, refused, tried = [node for node in order if node not in dead], 0, []
    for _ in range(3 * len(usable)):
        around = refusers(order, refused)
        tried.append(next(node for node in usable if node not in around))
        refused = noted(order, tried[-1], refused, usable)
        assert 0 <= refused < 1 << POSITIONS

    for start in range(0, len(tried), len(usable)):
        assert set(tried[start : start + len(usable)]) == set(usable)


def order_of(found: Fleet, key: bytes) -> list[Node]:
    """The nodes in the key's order: each is the one that `place` chooses after those before it were tried."""
    order: list[Node] = []
    while len(order) < len(found.nodes):
        node = found.place(key, order)
        assert isinstance(node, Node)
        order.append(node)
    return order


def test_a_refused_request_goes_on_along_its_order() -> None:
    """Each try goes to another node until all were tried; then again to the home. Health changes no place."""
    found = fleet("abcd")
    for key in KEYS:
        order, refused, tried = order_of(found, key), 0, []
        for _ in range(8):
            tried.append(found.place(key, refused=refused))
            refused = found.noted(key, tried[-1], refused)
        assert tried == order * 2

    home, second, third, _ = order_of(found, b"k")
    refused = found.noted(b"k", home, 0)
    found.note(home, Event.REFUSED, 1.0)
    assert found.place(b"k", refused=refused) is second
    refused = found.noted(b"k", second, refused)
    found.note(home, Event.RESTED, 2.0)
    assert found.place(b"k", refused=refused) is third
    for node in found.nodes.values():
        if node is not home:
            found.note(node, Event.REFUSED, 3.0)
    assert found.place(b"k", refused=refused) is home
