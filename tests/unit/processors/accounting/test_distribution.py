"""Exact quantiles without a sort of all times."""

import random
import time
from collections.abc import Iterable

import pytest

from processors.accounting.distribution import MS_MAX, Distribution
from storage.accounts import Quantiles


def of(times: Iterable[int]) -> Distribution:
    """These times."""
    made = Distribution()
    for ms in times:
        made.add(ms)
    return made


def test_quantiles_are_values_that_occurred() -> None:
    """By the nearest rank, whatever the order; null without any."""
    assert of(range(100, 0, -1)).quantiles() == Quantiles(count=100, p50=50, p90=90, p99=99, max=100)
    assert of([7]).quantiles() == Quantiles(count=1, p50=7, p90=7, p99=7, max=7)
    assert of([]).quantiles() == Quantiles()


def test_times_have_bounds() -> None:
    """A clock that was set back makes no negative time."""
    assert of([-1, MS_MAX + 1]).quantiles() == Quantiles(count=2, p50=0, p90=MS_MAX, p99=MS_MAX, max=MS_MAX)


@pytest.mark.parametrize("most", [3, 1000, 1001, 90_000, 10_000_000])
def test_they_are_those_of_the_sorted_times(most: int) -> None:
    """Few and many seconds, their borders too."""
    chance = random.Random(most)
    times = [*(chance.randrange(most) for _ in range(997)), 999, 1000, 1000]
    ordered = sorted(times)

    found = of(times).quantiles()

    assert (found.p50, found.p90, found.p99, found.max) == (ordered[499], ordered[899], ordered[989], ordered[-1])


def test_the_event_loop_does_not_wait_for_a_sort() -> None:
    """Of 300,000 posts; a sort of their times is the control."""
    chance = random.Random(1)
    times = [chance.randrange(120_000) for _ in range(300_000)]
    counted = of(times)

    def cost(call: object) -> float:
        began = time.process_time()
        call()  # type: ignore[operator]
        return time.process_time() - began

    assert min(cost(counted.quantiles) for _ in range(3)) < 0.2 * min(cost(lambda: sorted(times)) for _ in range(3))
