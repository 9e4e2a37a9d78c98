"""lb.placement.parameters: the value that says how nodes are chosen."""

from lb.placement.fleet import Fleet
from lb.placement.health import Thresholds
from lb.placement.node import Member
from lb.placement.parameters import SHARED_REQUESTS, Placement
from lb.placement.policy import Bound


def test_what_is_not_said_is_as_the_settings_have_it() -> None:
    """The defaults are those of the settings, so that a simulation is like the real thing."""
    made = Placement(policy="ring", seed=b"", slots=1024, bound=Bound(125, 1), thresholds=Thresholds(), checked=True)

    assert (made.slow_start_s, made.faulty_users, made.retry_percent, made.retry_floor) == (10, 5, 20, 3)
    assert made.request_bytes == 16384


def test_a_key_of_many_users_spills_from_so_many_requests_on() -> None:
    """Then its reads spread as the bound says; a key of one user stays at its home until the floor of bytes."""
    bound = Bound(125, 1_000_000)
    fleet = Fleet(
        Placement(policy="ring", seed=b"s", slots=1024, bound=bound, thresholds=Thresholds(), checked=False,
                  request_bytes=1000)
    )  # fmt: skip
    fleet.set_members([Member(id=name, address=f"127.0.0.1:{ord(name)}") for name in "abc"], 0.0)
    home = fleet.place(b"k", shared=True)
    for _ in range(SHARED_REQUESTS):
        assert fleet.place(b"k", shared=True) is home
        fleet.acquire(home, 0)

    assert fleet.place(b"k", shared=True) is not home
    assert fleet.place(b"k") is home
    for _ in range(600):
        fleet.acquire(fleet.place(b"k", shared=True), 0)
    assert max(node.in_flight for node in fleet.nodes.values()) <= 1.25 * fleet.in_flight / 3 + 1


def test_a_floor_below_that_stays() -> None:
    """Whoever sets a lower floor means reads too."""
    made = Placement(policy="ring", seed=b"", slots=1024, bound=Bound(150, 9), thresholds=Thresholds(), checked=True)

    assert made.shared_bound == Bound(150, 9)
