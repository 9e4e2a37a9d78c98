"""Where shed clients are put in the line."""

import pytest

from ingest.returns import RATE_MIN, WAIT_S_MAX, Returns, when_away_s


def test_the_line_moves_at_the_rate() -> None:
    """At ten a second, a hundred clients are spread over ten seconds, ten in each."""
    returns = Returns()
    waits = [returns.retry_after_s(50.0, 10.0, 0.0) for _ in range(100)]

    assert waits == sorted(waits)
    assert max(waits) == 10
    assert {second: waits.count(second) for second in range(2, 10)} == dict.fromkeys(range(2, 10), 10)


def test_time_shortens_the_line() -> None:
    """Who comes when it is empty waits a second, the least there is."""
    returns = Returns()
    for _ in range(100):
        returns.retry_after_s(50.0, 10.0, 0.0)

    assert returns.retry_after_s(55.0, 10.0, 0.0) == 5
    assert returns.retry_after_s(90.0, 10.0, 0.0) == 1


def test_a_node_that_commits_nothing_still_has_a_line() -> None:
    """It moves at two a second."""
    returns = Returns()

    assert [returns.retry_after_s(50.0, 0.0, 0.0) for _ in range(10)][1::2] == [1, 2, 3, 4, 5]


def test_chance_rounds_up_or_down() -> None:
    """2.5 seconds are two, 3 seconds are three however the die falls."""
    returns = Returns()
    for _ in range(4):
        returns.retry_after_s(0.0, RATE_MIN, 0.0)
    assert returns.retry_after_s(0.0, RATE_MIN, 0.49) == 2
    assert returns.retry_after_s(0.0, RATE_MIN, 0.99) == 3


@pytest.mark.parametrize(("fraction", "seconds"), [(0.0, WAIT_S_MAX // 2), (0.5, 45), (0.99, WAIT_S_MAX)])
def test_a_line_of_more_than_a_minute_is_spread_over_half_of_one(fraction: float, seconds: int) -> None:
    """Nobody is told to wait longer, and the line does not grow beyond."""
    returns = Returns()
    for _ in range(1000):
        returns.retry_after_s(0.0, 10.0, 0.0)

    assert returns.retry_after_s(0.0, 10.0, fraction) == seconds
    assert returns.retry_after_s(WAIT_S_MAX - 15, 10.0, 0.0) == 15


@pytest.mark.parametrize(("fraction", "seconds"), [(0.0, 1), (0.19, 1), (0.5, 3), (0.999, 5)])
def test_clients_of_a_store_that_is_away_come_back_spread_over_seconds(fraction: float, seconds: int) -> None:
    """One to five seconds, by chance."""
    assert when_away_s(fraction) == seconds
