"""The system clock of bench."""

import time

from bench.clock import SystemClock


async def test_it_tells_unix_time_and_never_goes_back() -> None:
    """Wall time within a second of the system's, carried on monotonically."""
    clock = SystemClock()
    before = clock.now()
    await clock.sleep(-1.0)

    assert abs(before - time.time()) < 1
    assert clock.now() >= before
