"""lb.placement.fleet: membership, health and load together place requests."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lb.placement.fleet import Fleet
from lb.placement.health import Event, State, Thresholds
from lb.placement.node import Member, Node
from lb.placement.parameters import Placement
from lb.placement.policy import POLICIES, Bound, Refuse

UNHURRIED = settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.too_slow])  # durations are free
TEN_THOUSAND = [b"key-%d" % number for number in range(10_000)]
KEYS = [b"user-%d" % number for number in range(300)]


def fleet(names: str = "abc", *, checked: bool = False, policy: str = "ring", **more: object) -> Fleet:
    """A fleet of these members."""
    placement = Placement(
        policy=policy,
        seed=b"s",
        slots=1024,
        bound=Bound(125, 4000),
        thresholds=Thresholds(),
        checked=checked,
        request_bytes=1000,
        **more,
    )
    made = Fleet(placement)
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


def test_a_drain_says_whose_it_is() -> None:
    """An operator's or the node's own; what changes while the node drains is shown too."""
    found, ours, own = fleet("ab"), "drained by an operator", "announces draining"
    for state, reason in (("drained", ours), ("draining", own), ("drained", ours), ("serving", "not checked")):
        found.set_members([member("a", state=state), member("b")], 1.0)
        assert found.nodes["a"].health.reason == reason
        assert (found.nodes["a"].health.state is State.DRAINING) == (state != "serving")


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


def test_bytes_in_flight_decide_not_requests() -> None:
    """One large upload fills a home as many small ones do; a request without a body counts its least."""
    found = fleet()
    home = found.place(b"k", size=5000)
    found.acquire(home, 5000)
    assert found.place(b"k") is not home
    found.release(home, 5000)
    found.acquire(home, 0)
    assert (home.load, home.bytes_in_flight, found.load) == (1000, 0, 1000)
    assert found.place(b"k") is home
    assert found.spills == 1


def test_more_than_half_is_never_ejected() -> None:
    """HasFaults by checks alone, two of three would be out: all are used instead, until half is well again."""
    found = fleet()
    for name in "ab":
        for _ in range(2):
            found.note(found.nodes[name], Event.FAILED, 1.0)
    assert found.panic
    assert set(homes(found).values()) == {"a", "b", "c"}
    found.note(found.nodes["a"], Event.RESTED, 9.0)
    assert not found.panic
    assert set(homes(found).values()) == {"a", "c"}


def test_refused_connections_are_facts_not_judgements() -> None:
    """Where nobody listens nothing is sent, however many such nodes there are."""
    found = fleet()
    for name in "ab":
        found.note(found.nodes[name], Event.REFUSED, 1.0)
    assert not found.panic
    assert set(homes(found).values()) == {"c"}
    found.note(found.nodes["c"], Event.REFUSED, 1.0)
    assert not found.ready


def test_a_joining_node_takes_its_keys_little_by_little() -> None:
    """Over the slow start the set of its keys only grows; nobody else's keys move."""
    found = fleet("ab")
    found.tick(0.0)
    before = homes(found)
    found.set_members([member("a"), member("b"), member("c")], 100.0)
    seen, sizes = set(), []
    for now in (100.0, 102.5, 105.0, 110.0):
        found.tick(now)
        placed = homes(found)
        mine = {key for key, home in placed.items() if home == "c"}
        assert seen <= mine
        assert all(placed[key] == before[key] for key in KEYS if key not in mine)
        seen, sizes = mine, [*sizes, len(mine)]

    assert sizes[0] < sizes[1] < sizes[2] < sizes[3] == sum(found.home(key) == "c" for key in KEYS)


def test_at_the_start_nobody_starts_slowly() -> None:
    """A balancer that comes up finds its nodes warm: all keys are at home at once."""
    found = fleet(checked=True)
    for name in "abc":
        found.note(found.nodes[name], Event.PASSED, 0.5)

    assert {key: found.home(key) for key in KEYS} == homes(found)


def test_5xx_counts_by_user_and_overload_does_not() -> None:
    """One user's errors eject nobody; five users' do; 503 with Retry-After never does."""
    found = fleet()
    node = found.nodes["a"]
    for number in range(100):
        found.answered(node, b"%d" % number, 503, 0.1, full=True)
        found.answered(node, b"same", 500, 0.1)
    found.tick(1.0)
    assert node.health.state is State.HEALTHY
    found.tick(60.0)
    for number in range(5):
        found.tick(60.1)
        assert node.health.state is State.HEALTHY
        found.answered(node, b"%d" % number, 500, 0.1)
    found.tick(60.1)
    assert node.health.state is State.SUSPECT


def test_a_broken_connection_counts_at_once_but_once_for_each_user() -> None:
    """The node is suspect after one, dead after another user's, not after the same one's."""
    found = fleet()
    node = found.nodes["a"]
    node.check_at = 99.0
    found.lost(node, b"u", 1.0)
    assert (node.health.state, node.check_at) == (State.SUSPECT, 0.0)
    found.lost(node, b"u", 1.1)
    assert node.health.state is State.SUSPECT
    found.lost(node, b"v", 1.2)
    assert node.health.state is State.DEAD


def test_checks_do_not_overrule_a_lost_heartbeat() -> None:
    """While a node is silent passed checks leave it in doubt."""
    found = fleet(checked=True)
    node = found.nodes["a"]
    found.note(node, Event.PASSED, 1.0)
    node.silent = True
    found.note(node, Event.SILENT, 2.0)
    for now in (3.0, 4.0, 5.0):
        found.note(node, Event.PASSED, now)
    assert node.health.state is State.SUSPECT
    node.silent = False
    found.note(node, Event.PASSED, 6.0)
    found.note(node, Event.PASSED, 7.0)
    assert node.health.state is State.HEALTHY


def test_the_old_ring_serves_until_the_new_one_is_there() -> None:
    """Who left gets nothing at once, who joined nothing yet; then the ring is as if made anew."""
    found = fleet("abc")
    found.set_members(map(member, "bcd"), 1.0, later=True)
    assert found.stale
    assert set(homes(found).values()) == {"b", "c"}
    found.adopt(found.draft()())
    assert not found.stale
    assert homes(found) == homes(fleet("bcd"))


def test_members_unknown_to_the_ring_are_better_than_none() -> None:
    """All of the ring gone and the next one not ready: the new nodes serve."""
    found = fleet("a")
    found.set_members([member("d")], 1.0, later=True)

    assert set(homes(found).values()) == {"d"}


def test_moves_are_limited_to_a_part_of_the_requests() -> None:
    """Three in any case, a fifth of many."""
    found = fleet()
    assert [found.may_retry() for _ in range(4)] == [True, True, True, False]
    for _ in range(100):
        found.acquire(found.nodes["a"], 0)
    assert sum(found.may_retry() for _ in range(100)) == 17
    assert found.retries_denied == 84


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_keeps_off_the_dead_and_the_weightless(policy: str) -> None:
    """Health and weight zero come first."""
    found = fleet("abcd", policy=policy)
    found.set_members([member("a"), member("b"), member("c", weight=0), member("d")], 0.0)
    found.note(found.nodes["a"], Event.REFUSED, 1.0)
    for key in KEYS:
        found.acquire(found.place(key), 0)

    assert {node.member.id for node in found.nodes.values() if node.requests} == {"b", "d"}


@UNHURRIED
@given(st.permutations([f"n{number}" for number in range(9)]), st.permutations([f"n{number}" for number in range(9)]))
def test_two_balancers_agree_on_ten_thousand_keys(one: list[str], other: list[str]) -> None:
    """The same members, told in any order and in any steps, have the same homes."""
    first, second = fleet(""), fleet("")
    first.set_members([Member(id=name, address="h:1") for name in one], 0.0)
    for count in (3, 7, 9):
        second.set_members([Member(id=name, address="h:1") for name in other[:count]], 0.0)

    assert all(first.place(key).member.id == second.place(key).member.id for key in TEN_THOUSAND)
