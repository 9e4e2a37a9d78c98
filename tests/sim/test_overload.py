"""Overload in a simulated world: goodput holds, a slow store is felt within seconds, a herd comes back in a line."""

import pytest
from tests.sim.fleet_load import BYTES, FleetLoad

from ingest.admission import Rank
from ingest.commits import PUTS_MIN

FAST, PHONES = (0.05, 0.3), (0.5, 3.0)


@pytest.mark.parametrize("send_s", [FAST, PHONES])
@pytest.mark.parametrize("times", [1, 2, 4, 10])
def test_goodput_holds_at_any_offered_load(times: int, send_s: tuple[float, float]) -> None:
    """At 1, 2, 4 and 10 times what the store commits, at least 95 % of it is committed, and so it is afterwards."""
    fleet_load = FleetLoad(send_s=send_s)
    fleet_load.offered = fleet_load.rate * times
    fleet_load.run(40)
    fleet_load.offered = fleet_load.rate * 0.98
    fleet_load.run(20)

    assert fleet_load.goodput(5, 40) >= 0.95 * fleet_load.rate
    assert fleet_load.goodput(40, 60) >= 0.95 * fleet_load.rate


def test_received_pairs_wait_no_longer_than_their_rank_is_worth() -> None:
    """Once the first wave is through, a pair is committed within a few seconds at ten times the load."""
    fleet_load = FleetLoad(send_s=PHONES)
    fleet_load.offered = fleet_load.rate * 10
    fleet_load.run(25)
    fleet_load.waits.clear()
    fleet_load.run(20)

    assert len(fleet_load.waits) > 15 * fleet_load.rate
    assert max(fleet_load.waits) < 4.0


def test_a_store_slowed_to_a_tenth_is_felt_within_seconds_and_so_is_its_recovery() -> None:
    """Fewer PUTs at once and fewer uploads in flight within five seconds, the slow store kept busy; then all again."""
    fleet_load = FleetLoad(send_s=FAST)
    fleet_load.offered = 150
    fleet_load.run(20)
    before = fleet_load.commits.puts_max, fleet_load.commits.in_flight_max(1.0)
    fleet_load.rate = 10
    fleet_load.run(10)
    during = fleet_load.commits.puts_max, fleet_load.commits.in_flight_max(1.0)
    fleet_load.run(30)
    fleet_load.rate = 100
    fleet_load.run(20)

    assert during[0] < before[0] / 2
    assert during[1] < before[1] / 2
    assert fleet_load.goodput(30, 60) >= 9
    assert fleet_load.goodput(65, 80) >= 90


def test_a_distant_store_is_not_taken_for_a_full_one() -> None:
    """A second of latency needs a hundred PUTs at once for a hundred a second, and gets them."""
    fleet_load = FleetLoad(send_s=FAST, latency_s=1.0)
    fleet_load.offered = 100
    fleet_load.run(60)

    assert fleet_load.goodput(40, 60) >= 90


def test_a_store_that_becomes_distant_is_measured_anew() -> None:
    """The fast times of before are forgotten: the probe finds that this is how long it takes now."""
    fleet_load = FleetLoad(send_s=FAST)
    fleet_load.offered = 90
    fleet_load.run(20)
    fleet_load.latency_s = 1.0
    fleet_load.run(20)
    assert fleet_load.commits.puts_max >= PUTS_MIN
    fleet_load.run(60)

    assert fleet_load.goodput(80, 100) >= 80


def test_memory_alone_bounds_a_crowd_of_slow_phones() -> None:
    """First tries fill their part of the budget, those that return the rest, and nobody more."""
    fleet_load = FleetLoad(send_s=(20.0, 40.0), bytes_max=500 * BYTES)
    fleet_load.offered = 100
    fleet_load.run(5)
    assert fleet_load.admission.bytes == 450 * BYTES
    fleet_load.run(55)

    assert 450 * BYTES < fleet_load.admission.bytes <= 500 * BYTES


def test_a_thundering_herd_comes_back_in_a_line() -> None:
    """Four thousand at once into an idle node: those sent away are mostly taken when they return, and it stays busy."""
    fleet_load = FleetLoad(send_s=FAST, bytes_max=500 * BYTES)
    fleet_load.offered = 90
    fleet_load.run(5)
    fleet_load.offered = 0
    for _ in range(4000):
        fleet_load.come(Rank.FIRST)
    fleet_load.run(45)

    taken, shed = fleet_load.returned["taken"], fleet_load.returned["shed"]
    assert taken / (taken + shed) >= 0.7
    assert fleet_load.goodput(6, 40) >= 0.75 * fleet_load.rate
