"""Overload in a simulation: goodput holds, admission adapts to a slow store in seconds, a herd returns spread out."""

import pytest

from ingest.admission import Rank
from ingest.commits import PUTS_MIN
from tests.sim.crowd import BYTES, Crowd

FAST, PHONES = (0.05, 0.3), (0.5, 3.0)


@pytest.mark.parametrize("send_s", [FAST, PHONES])
@pytest.mark.parametrize("times", [1, 2, 4, 10])
def test_goodput_holds_at_any_offered_load(times: int, send_s: tuple[float, float]) -> None:
    """At 1, 2, 4 and 10 times the store's rate, at least 95 % of the rate is committed, during and after the load."""
    crowd = Crowd(send_s=send_s)
    crowd.offered = crowd.rate * times
    crowd.run(40)
    crowd.offered = crowd.rate * 0.98
    crowd.run(20)

    assert crowd.goodput(5, 40) >= 0.95 * crowd.rate
    assert crowd.goodput(40, 60) >= 0.95 * crowd.rate


def test_received_pairs_wait_no_longer_than_their_rank_is_worth() -> None:
    """After the first wave, a received pair is committed within a few seconds even at ten times the load."""
    crowd = Crowd(send_s=PHONES)
    crowd.offered = crowd.rate * 10
    crowd.run(25)
    crowd.waits.clear()
    crowd.run(20)

    assert len(crowd.waits) > 15 * crowd.rate
    assert max(crowd.waits) < 4.0


def test_a_store_slowed_to_a_tenth_is_felt_within_seconds_and_so_is_its_recovery() -> None:
    """Within five seconds there are fewer PUTs and uploads at once, and the store stays busy; later all are back."""
    crowd = Crowd(send_s=FAST)
    crowd.offered = 150
    crowd.run(20)
    before = crowd.commits.puts_max, crowd.commits.in_flight_max(1.0)
    crowd.rate = 10
    crowd.run(10)
    during = crowd.commits.puts_max, crowd.commits.in_flight_max(1.0)
    crowd.run(30)
    crowd.rate = 100
    crowd.run(20)

    assert during[0] < before[0] / 2
    assert during[1] < before[1] / 2
    assert crowd.goodput(30, 60) >= 9
    assert crowd.goodput(65, 80) >= 90


def test_a_distant_store_is_not_taken_for_a_full_one() -> None:
    """With a latency of 1 s, 100 commits a second need 100 concurrent PUTs; admission allows them."""
    crowd = Crowd(send_s=FAST, latency_s=1.0)
    crowd.offered = 100
    crowd.run(60)

    assert crowd.goodput(40, 60) >= 90


def test_a_store_that_becomes_distant_is_measured_anew() -> None:
    """The earlier short times expire: the probe measures the new latency as the normal one."""
    crowd = Crowd(send_s=FAST)
    crowd.offered = 90
    crowd.run(20)
    crowd.latency_s = 1.0
    crowd.run(20)
    assert crowd.commits.puts_max >= PUTS_MIN
    crowd.run(60)

    assert crowd.goodput(80, 100) >= 80


def test_memory_alone_bounds_a_crowd_of_slow_phones() -> None:
    """First tries fill their part of the budget and retries fill the rest; no upload exceeds the budget."""
    crowd = Crowd(send_s=(20.0, 40.0), bytes_max=500 * BYTES)
    crowd.offered = 100
    crowd.run(5)
    assert crowd.admission.bytes == 450 * BYTES
    crowd.run(55)

    assert 450 * BYTES < crowd.admission.bytes <= 500 * BYTES


def test_a_thundering_herd_comes_back_in_a_line() -> None:
    """Of 4000 uploads at once at an idle node, most refused ones are accepted on return, and the node stays busy."""
    crowd = Crowd(send_s=FAST, bytes_max=500 * BYTES)
    crowd.offered = 90
    crowd.run(5)
    crowd.offered = 0
    for _ in range(4000):
        crowd.come(Rank.FIRST)
    crowd.run(45)

    taken, shed = crowd.returned["taken"], crowd.returned["shed"]
    assert taken / (taken + shed) >= 0.7
    assert crowd.goodput(6, 40) >= 0.75 * crowd.rate
