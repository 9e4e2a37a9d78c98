"""lb.placement.retry_budget: how many requests may be moved."""

from lb.placement.retry_budget import WINDOW_S, Budget


def moved(budget: Budget, requests: int) -> int:
    """How many of many that ask may go."""
    return sum(budget.spend(requests) for _ in range(1000))


def test_a_quiet_system_may_retry_and_a_busy_one_a_part() -> None:
    """Never less than the floor, never more than the part."""
    assert moved(Budget(percent=20, floor=3), 0) == 3
    assert moved(Budget(percent=20, floor=3), 1000) == 200
    assert moved(Budget(percent=0, floor=0), 1000) == 0


def test_moves_and_requests_are_forgotten_together() -> None:
    """After two windows only what was begun since counts, on both sides."""
    budget = Budget(percent=20, floor=3)
    budget.turn(WINDOW_S, 1000)
    assert moved(budget, 1000) == 200
    budget.turn(2 * WINDOW_S, 1500)
    assert moved(budget, 1500) == 0
    budget.turn(3 * WINDOW_S, 2000)
    assert moved(budget, 2000) == 100
    budget.turn(99 * WINDOW_S, 2000)
    assert moved(budget, 2000) == 3


def test_looks_within_a_window_change_nothing() -> None:
    """The time may be told as often as one likes."""
    budget = Budget(percent=20, floor=3)
    budget.turn(WINDOW_S, 100)
    for tenth in range(9):
        budget.turn(WINDOW_S + tenth, 100 + tenth)
    assert moved(budget, 200) == 40
