"""lb.placement.holders: the node that a path names, while it can be asked."""

from lb.holder_path import HolderPath, hint
from lb.placement.fleet import Fleet
from lb.placement.health import Event, State
from lb.placement.holders import Holders
from lb.placement.node import Member
from tests.unit.lb.placement.test_fleet import fleet, member


def path(name: str) -> bytes:
    """A path that names this node."""
    return b"/v1/uploads/%b.secret" % hint(name)


def holders(of: Fleet) -> Holders:
    """Those of a fleet."""
    return Holders(HolderPath("/v1/uploads/*"), of)


def test_the_named_node_is_found_by_its_id() -> None:
    """And nobody else; a path that names nobody is not counted."""
    of = fleet()
    found = holders(of)

    assert [found.find(path(name), ()) for name in "abc"] == [of.nodes[name] for name in "abc"]
    assert found.find(path("d"), ()) is None
    assert found.find(b"/v1/uploads/x", ()) is None
    assert found.counts == {"asked": 3, "away": 0, "unknown": 1}


def test_a_node_without_an_id_is_found_by_its_address() -> None:
    """But an id that looks like another node's address wins."""
    of = fleet("ab")
    found = holders(of)
    assert found.find(path(of.nodes["b"].member.address), ()) is of.nodes["b"]

    taken = Member(id=of.nodes["b"].member.address, address="127.0.0.1:1")
    of.set_members([member("a"), member("b"), taken], 1.0)
    assert found.find(path(taken.id), ()) is of.nodes[taken.id]


def test_it_is_asked_while_it_drains_or_has_no_share() -> None:
    """And while it is suspect or new; its bytes are nowhere else."""
    of = fleet()
    found = holders(of)
    of.set_members([member("a", state="draining"), member("b", weight=0), member("c", state="drained")], 1.0)
    assert [of.nodes[name].health.state for name in "ac"] == [State.DRAINING] * 2

    assert [found.find(path(name), ()) for name in "abc"] == [of.nodes[name] for name in "abc"]
    of.note(of.nodes["b"], Event.RESET, 2.0)
    assert of.nodes["b"].health.state is State.SUSPECT
    assert found.find(path("b"), ()) is of.nodes["b"]


def test_a_dead_node_and_one_that_was_tried_are_away() -> None:
    """A refused connection, or this request's own try; once it serves again it is asked."""
    of = fleet()
    found = holders(of)
    of.note(of.nodes["a"], Event.REFUSED, 1.0)
    assert found.find(path("a"), ()) is None
    assert found.find(path("b"), [of.nodes["b"]]) is None
    of.note(of.nodes["a"], Event.RESTED, 2.0)

    assert found.find(path("a"), ()) is of.nodes["a"]
    assert found.counts == {"asked": 1, "away": 2, "unknown": 0}


def test_in_panic_mode_checks_are_not_believed() -> None:
    """A node that failed its checks is asked with all others."""
    of = fleet("ab")
    found = holders(of)
    for name in "ab":
        of.note(of.nodes[name], Event.FAILED, 1.0)
        of.note(of.nodes[name], Event.FAILED, 1.0)
    assert of.panic
    assert of.nodes["a"].health.state is State.DEAD

    assert found.find(path("a"), ()) is of.nodes["a"]


def test_a_node_that_joins_or_leaves_is_known_at_once() -> None:
    """Also before its ring is built; one with a new address is found there."""
    of = fleet("ab")
    found = holders(of)
    assert found.find(path("c"), ()) is None
    of.set_members(map(member, "abc"), 1.0, later=True)
    assert found.find(path("c"), ()) is of.nodes["c"]
    of.set_members([member("a"), member("b", address="127.0.0.1:7")], 2.0)

    assert found.find(path("c"), ()) is None
    again = found.find(path("b"), ())
    assert again is not None
    assert again.port == 7
