"""bench.contests.watch: what its table says of readings, and of readings that say nothing."""

import pytest

from bench.contests.watch import Burst, round_cost, rows_of
from bench.costing.interval import Spent
from bench.errors import BenchError

ALONE = Burst(seconds=120, stack_ms=180_000, watch_ms=0, pairs=2000)
WATCHED = Burst(seconds=120, stack_ms=181_000, watch_ms=600, pairs=2000)


def spent(stack_ms: float, seconds: float = 10) -> Spent:
    """A reading of the stack."""
    return Spent(seconds, {"stack": stack_ms})


def test_a_round_costs_what_reading_adds() -> None:
    """For as many seconds of nothing; one turn in which something else ran does not count."""
    read, idle = [spent(330, 11), spent(900), spent(300)], [spent(100, 10), spent(100), spent(80)]
    assert round_cost(read, idle, rounds=10) == pytest.approx(22)


def test_readings_that_add_nothing_are_no_cost() -> None:
    """Then other work was in them."""
    with pytest.raises(BenchError, match="too busy"):
        round_cost([spent(100)], [spent(100)], rounds=10)


@pytest.mark.parametrize(("round_ms", "met"), [(45.0, True), (45.1, False)])
def test_a_hundredth_of_the_stack_is_the_limit(round_ms: float, *, met: bool) -> None:
    """40 rounds in a burst of 120 s that costs 180 s of CPU: 45 ms a round are a hundredth."""
    rows = {row.case: row for row in rows_of(ALONE, WATCHED, round_ms, span_s=120, cores=2)}
    assert rows["a round every 3 s in a burst (ratio to 1 %)"].met is met
    assert rows["the stack, watched"].peers == {"not watched": 90.0}
    assert rows["the stack, not watched, in the burst"].ours == 1.5
    assert rows["watch itself, one page open"].ours == 5.0


@pytest.mark.parametrize(("cores", "lasts_s"), [(2, 120), (1, 180)])
def test_a_burst_lasts_as_long_as_its_cpu_takes(cores: int, lasts_s: float) -> None:
    """180 s of CPU on one core, and no shorter than its trace; a replay that took longer changes nothing."""
    rows = {row.case: row for row in rows_of(ALONE, WATCHED, 30, span_s=120, cores=cores)}
    assert rows["the stack, not watched, in the burst"].ours == pytest.approx(180 / lasts_s)
    assert rows["a round every 3 s in a burst (ratio to 1 %)"].ours == pytest.approx(lasts_s / 3 * 30 / 1800, rel=1e-3)
