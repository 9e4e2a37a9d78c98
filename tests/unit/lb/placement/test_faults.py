"""lb.placement.faults: failures are counted by user, and compared with the peers' over one window."""

from dataclasses import dataclass, field

from lb.placement.faults import USERS_MAX, WINDOW_S, Faults, Window
from lb.placement.health import Event, State
from lb.placement.node import RAMP_FULL
from tests.unit.lb.placement.test_fleet import fleet


@dataclass
class Seat:
    """A node as a window sees it."""

    faults: Faults = field(default_factory=lambda: Faults(3))


def fail(faults: Faults, users: int, times: int = 1) -> None:
    """So many users fail so often each."""
    for number in range(users * times):
        faults.failed(b"%d" % (number % users))


def test_several_users_make_a_node_suspicious() -> None:
    """Not one user many times; and only while such answers are half of all."""
    faults = Faults(3)
    fail(faults, 2, times=50)
    assert not faults.failed(b"1")
    assert not faults.suspicious
    assert faults.failed(b"another")
    assert faults.suspicious
    faults.good = 102
    assert faults.suspicious
    faults.good = 103
    assert not faults.suspicious


def test_a_node_is_guilty_when_its_peers_do_better() -> None:
    """At half of its part of failures at most: what fails everywhere is nobody's; without peers there is no excuse."""
    for peer_good, peer_failures, faulty in ((100, 0, 1), (50, 50, 1), (49, 51, 0), (0, 100, 0), (0, 0, 1)):
        window, one, other = Window(), Seat(), Seat()
        fail(one.faults, 3)
        window.failing = True
        other.faults.good, other.faults.failures = peer_good, peer_failures
        assert window.faulty([one, other], 1.0) == [one][:faulty]
        assert window.faulty([one, other], 1.0) == []


def test_what_fails_everywhere_ejects_nobody() -> None:
    """All alike, however often it is asked."""
    window, seats = Window(), [Seat(), Seat(), Seat()]
    for seat in seats:
        fail(seat.faults, 40)
    for _ in range(3):
        window.failing = True
        assert window.faulty(seats, 1.0) == []


def test_old_failures_are_forgotten() -> None:
    """Three within a window, not three in a day; all windows end at once."""
    window, one, other = Window(), Seat(), Seat()
    for number in range(1, 50):
        one.faults.failed(b"%d" % number)
        other.faults.good = 7
        window.failing = one.faults.suspicious
        assert window.faulty([one, other], number * WINDOW_S) == []
        assert (one.faults.failures, other.faults.good) == (0, 0)


def test_each_user_breaks_a_connection_once_a_window() -> None:
    """And no more users are remembered than prove a thing; a judgement on 5xx is none on these."""
    faults = Faults(3)
    assert [faults.reset(key) for key in (b"a", b"a", b"b")] == [True, False, True]
    faults.clear_failures()
    assert not faults.reset(b"a")
    faults.begin_window()
    assert faults.reset(b"a")
    assert sum(faults.reset(b"%d" % number) for number in range(1000)) == USERS_MAX - 1


def test_what_all_nodes_fail_in_ejects_none() -> None:
    """The store is away for all, in whatever order users find out; one node that then fails alone is ejected."""
    found = fleet()
    for number in range(30):
        for node in found.nodes.values():
            found.answered(node, b"%d" % number, 503, 0.1)
        if number > 8:
            found.tick(1.0)
    assert {node.health.state for node in found.nodes.values()} == {State.HEALTHY}
    found.tick(60.0)
    for number in range(30):
        for name, node in found.nodes.items():
            found.answered(node, b"%d" % number, 503 if name == "b" else 201, 0.1)
    found.tick(60.1)
    assert [name for name, node in found.nodes.items() if node.health.state is State.SUSPECT] == ["b"]


def test_who_fails_again_although_its_checks_pass_comes_back_step_by_step() -> None:
    """The first time at once, with all its keys; the second time by a slow start."""
    found = fleet()
    found.tick(0.0)
    node = found.nodes["b"]
    for since, full in ((1.0, True), (10.0, False)):
        found.note(node, Event.FAULTY, since)
        for passed in range(2):
            found.note(node, Event.PASSED, since + 5.0 + passed)
        assert node.health.state is State.HEALTHY
        assert (node.ramp == RAMP_FULL) is full
