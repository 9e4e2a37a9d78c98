"""lb.fleet: membership, health and load together place requests."""

from lb.fleet import Fleet, Node, Placement
from lb.nodes import Event, Member, State, Thresholds
from lb.policy import Bound, Refuse

KEYS = [b"user-%d" % number for number in range(300)]


def fleet(names: str = "abc", *, checked: bool = False) -> Fleet:
    """A fleet of these members."""
    made = Fleet(
        Placement(policy="ring", seed=b"s", vnodes=64, bound=Bound(125, 4), thresholds=Thresholds(), checked=checked)
    )
    made.set_members(map(member, names), 0.0)
    return made


def member(name: str, **changes: object) -> Member:
    """A member on a port of its own."""
    return Member(**({"id": name, "address": f"127.0.0.1:{ord(name)}"} | changes))


def homes(of: Fleet) -> dict[bytes, str]:
    """Where each key goes in an idle fleet."""
    placed = {key: of.place(key) for key in KEYS}
    return {key: node.member.id for key, node in placed.items() if isinstance(node, Node)}


def test_only_a_dead_nodes_keys_move_and_they_come_back() -> None:
    """Health never rebuilds the ring: others keep their keys, and a returned node finds its own."""
    found = fleet()
    before = homes(found)
    found.note(found.nodes["b"], Event.REFUSED, 1.0)
    during = homes(found)
    found.note(found.nodes["b"], Event.RESTED, 2.0)

    assert all(during[key] == home for key, home in before.items() if home != "b")
    assert {during[key] for key, home in before.items() if home == "b"} == {"a", "c"}
    assert homes(found) == before


def test_members_come_and_go_without_disturbing_who_stays() -> None:
    """A node that stays keeps its health and load; one with a new address is a new node."""
    found = fleet()
    kept, moved = found.nodes["a"], found.nodes["b"]
    found.acquire(kept, 10)
    found.set_members([member("a"), member("b", address="127.0.0.1:7"), member("d")], 1.0)

    assert found.nodes["a"] is kept
    assert (kept.in_flight, kept.bytes_in_flight) == (1, 10)
    assert found.nodes["b"] is not moved
    assert set(found.nodes) == {"a", "b", "d"} == set(homes(found).values()) == set(found.shares)


def test_weights_change_the_ring() -> None:
    """A member re-weighed gets its new share."""
    found = fleet("ab")
    found.set_members([member("a", weight=3), member("b")], 1.0)

    assert found.shares["a"] > 0.65


def test_draining_members_take_nothing_new() -> None:
    """Draining by membership, and back."""
    found = fleet("ab")
    found.set_members([member("a", state="draining"), member("b")], 1.0)
    assert set(homes(found).values()) == {"b"}
    found.set_members([member("a"), member("b")], 2.0)
    assert set(homes(found).values()) == {"a", "b"}


def test_a_tried_node_is_left_out_until_nobody_is_left() -> None:
    """Each retry goes to the next of the key's order, then it is refused."""
    found = fleet("ab")
    first = found.place(b"k")
    second = found.place(b"k", [first])

    assert {first.member.id, second.member.id} == {"a", "b"}
    assert isinstance(found.place(b"k", [first, second]), Refuse)
    assert found.home(b"k") == first.member.id


def test_a_full_home_spills_to_the_same_node_each_time() -> None:
    """In flight over the bound: the key's second node serves, and again."""
    found = fleet()
    home = found.place(b"k")
    for _ in range(20):
        found.acquire(home, 0)
    spilled = {found.place(b"k").member.id for _ in range(5)}

    assert len(spilled) == 1
    assert spilled != {home.member.id}
    for _ in range(20):
        found.release(home, 0)
    assert found.place(b"k") is home


def test_checked_nodes_join_doubtfully() -> None:
    """Before its first passed check a node is used only when nobody better is there."""
    found = fleet("ab", checked=True)
    assert found.ready
    found.note(found.nodes["a"], Event.PASSED, 1.0)

    assert found.nodes["a"].health.state is State.HEALTHY
    assert set(homes(found).values()) == {"a"}
    assert repr(found.nodes["b"]) == "<Node b 127.0.0.1:98 joining in_flight=0>"
