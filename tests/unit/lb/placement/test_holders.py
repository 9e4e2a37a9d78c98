"""lb.placement.holders: the node that a path names, while it can be asked."""

from lb.holder_path import HolderPath, hint
from lb.placement.fleet import Fleet
from lb.placement.health import Event, State
from lb.placement.holders import LEFT_S, LOST_S, Holders
from lb.placement.node import LEFT_MAX, Member, Node
from lb.placement.policy import Refuse
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

    again = found.find(path("b"), ())
    assert isinstance(again, Node)
    assert again.port == 7


def test_a_node_that_failed_its_checks_is_asked_while_somebody_listens() -> None:
    """Timeouts, bad answers and missed heartbeats prove nothing about what it has in memory."""
    of = fleet("abc")
    found = holders(of)
    for name, event in (("a", Event.FAILED), ("b", Event.SILENT)):
        of.note(of.nodes[name], event, 1.0)
        of.note(of.nodes[name], event, 2.0)
        assert of.nodes[name].health.state is State.DEAD
        assert found.find(path(name), ()) is of.nodes[name]
    of.note(of.nodes["a"], Event.REFUSED, 3.0)
    assert found.find(path("a"), ()) is None


def test_no_other_node_is_asked_while_it_may_live() -> None:
    """Where no connection was made in time: until it has been dead for a while."""
    of = fleet("abc")
    found = holders(of)
    a = of.nodes["a"]
    assert isinstance(found.find(path("a"), [a], late=True), Refuse)
    of.note(a, Event.TIMED_OUT, 1.0)
    of.note(a, Event.TIMED_OUT, 1.0)
    of.tick(1.0 + LOST_S)
    assert isinstance(found.find(path("a"), [a], late=True), Refuse)
    assert found.find(path("a"), [a]) is None  # it was refused
    of.tick(2.0 + LOST_S)
    assert found.find(path("a"), [a], late=True) is None


def test_a_node_that_left_is_asked_for_a_while() -> None:
    """If its heartbeats were missing: by its id and by its address, unless a member has this address now.

    The oldest are forgotten first.
    """
    of = fleet("abcd")
    found = holders(of)
    a, c = of.nodes["a"], of.nodes["c"]
    of.tick(10.0)
    of.silence("ac", 10.0)
    of.set_members([member("b")], 10.0)
    assert found.find(path("d"), ()) is None  # removed by itself or by an operator
    assert [found.find(path(name), ()) for name in ("a", a.member.address, "c")] == [a, a, c]
    of.set_members([member("b"), Member(id="new", address=c.member.address)], 11.0)
    assert found.find(path("c"), ()) is None
    of.tick(10.0 + LEFT_S)
    assert found.find(path("a"), ()) is a
    of.tick(10.1 + LEFT_S)
    assert found.find(path("a"), ()) is None

    many = [Member(id=f"n{number}", address=f"127.0.0.1:{7000 + number}") for number in range(LEFT_MAX)]
    of.set_members([member("b"), *many], 100.0)
    of.silence({one.id for one in many}, 100.0)
    of.tick(100.0)
    of.set_members([member("b")], 100.0)
    assert [isinstance(found.find(path(one.id), ()), Node) for one in many] == [True] * LEFT_MAX
    of.silence("b", 101.0)
    of.tick(101.0)
    of.set_members([many[5]], 101.0)
    assert sum(isinstance(found.find(path(one.id), ()), Node) for one in (member("b"), *many)) == LEFT_MAX
