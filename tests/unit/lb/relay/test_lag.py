"""When a loop counts as behind, from both sides of each limit; tests/e2e/test_late_heads.py stops real processes."""

import pytest

from lb.relay.lag import BEHIND_S, CATCH_UP_S, TICK_S, Lag


class Clock:
    """Seconds that pass when the test says so."""

    now = 100.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@pytest.mark.parametrize(("since_tick_s", "behind"), [(BEHIND_S - 0.01, False), (BEHIND_S + 0.01, True)])
def test_a_loop_without_a_tick_for_long_is_behind(since_tick_s: float, behind: bool) -> None:  # noqa: FBT001
    """What it reads before its timers run is old; while it keeps up nothing is."""
    clock = Clock()
    assert Lag(clock).behind(clock() + since_tick_s) is behind


@pytest.mark.parametrize(("after_s", "behind"), [(CATCH_UP_S - 0.01, True), (CATCH_UP_S + 0.01, False)])
def test_a_late_tick_is_remembered_for_a_while(after_s: float, behind: bool) -> None:  # noqa: FBT001
    """Where the timers ran before the sockets were read."""
    clock = Clock()
    lag = Lag(clock)
    clock.now += 5.0
    lag.tick()
    late = clock.now
    while clock.now + TICK_S < late + after_s:
        clock.now += TICK_S
        lag.tick()
    assert lag.behind(late + after_s) is behind
