"""Seconds and deciles: nothing is lost or counted twice, and buckets are those of HdrHistogram."""

import random
from collections import Counter

import pytest
from hdrh.histogram import HdrHistogram

from bench.outcome import Attempt, Outcome
from bench.replay.seconds import Decile, Second, Spent, bucket, deciles, seconds_of

T0 = 1_800_000_000.0


def outcome(user: str, at_s: float, *statuses: int, took_s: float = 0.5) -> Outcome:
    """An arrival `at_s` after the moment, with tries one after the other."""
    tries = tuple(Attempt(T0 + at_s + n * took_s, T0 + at_s + (n + 1) * took_s, s) for n, s in enumerate(statuses))
    return Outcome(user=user, intended=T0 + at_s, attempts=tries, post_id=f"p-{user}")


def test_an_arrival_counts_in_the_second_of_its_intended_time() -> None:
    """Whenever its answers came; a second without arrivals is there with zeros."""
    found = seconds_of(
        [outcome("a", 0.0, 503, 429, 503, 201), outcome("b", 0.999999, 403), outcome("c", 2.0, 0)], T0, {"p-a": 1.5}
    )

    assert found == (
        Second(
            t=0, offered=2, accepted=1, shed=2, limited=1, failed=1, upload_ms={"2000.895": 1}, ready_ms={"1500.159": 1}
        ),
        Second(t=1),
        Second(t=2, offered=1, failed=1),
    )


def test_no_arrivals_make_no_seconds() -> None:
    """Also no deciles."""
    assert seconds_of([], T0, {}) == ()
    assert deciles([], {}, frozenset()) == ()


@pytest.mark.parametrize("us", [0, 1, 2047, 2048, 2049, 4095, 4096, 123_456, 59_999_999, 3_599_999_999])
def test_buckets_are_those_of_hdrhistogram(us: int) -> None:
    """At three significant figures, in µs: other programs can read the histograms."""
    peer = HdrHistogram(1, 3_600_000_000, 3)

    assert bucket(us / 1000) == f"{peer.get_highest_equivalent_value(us) / 1000:.3f}"


def test_a_bucket_is_at_most_a_thousandth_wide() -> None:
    """And never below its value; its own bound is in the same bucket."""
    rng = random.Random(14)
    for _ in range(1000):
        ms = rng.lognormvariate(5, 3)
        top = float(bucket(ms))
        assert ms - 0.001 <= top <= ms * 1.001 + 0.001
        assert bucket(top) == bucket(ms)


def test_histograms_add_up() -> None:
    """Two halves of the same outcomes make the histogram of all."""
    rng = random.Random(14)
    outcomes = [outcome(str(n), 0, 201, took_s=rng.expovariate(2)) for n in range(200)]
    (both,) = seconds_of(outcomes, T0, {})
    halves = [seconds_of(outcomes[start::2], T0, {})[0] for start in (0, 1)]

    assert Counter(halves[0].upload_ms) + Counter(halves[1].upload_ms) == Counter(both.upload_ms)
    assert sum(both.upload_ms.values()) == 200


def test_cpu_is_spread_over_the_seconds_between_its_samples() -> None:
    """Before the moment is left out; a tier that is seen later counts from zero."""
    spent = [Spent(T0 - 1, {"lb": 5.0}), Spent(T0 + 1, {"lb": 25.0}), Spent(T0 + 2.5, {"lb": 40.0, "worker": 3.0})]
    found = seconds_of([], T0, {}, spent)

    assert [second.cpu_ms for second in found] == [
        {"lb": 10.0},
        {"lb": 10.0, "worker": 2.0},
        {"lb": 5.0, "worker": 1.0},
    ]


def test_deciles_hold_every_arrival_once() -> None:
    """A tenth each, slowest first, where all uplinks differ."""
    outcomes = [outcome(f"u{n}", 0, 201 if n % 2 else 503, took_s=1 + n / 100) for n in range(100)]
    speeds = {f"u{n}": 1000 - n for n in range(100)}
    found = deciles(outcomes, speeds, frozenset(f"u{n}" for n in range(95, 100, 2)))

    assert [decile.offered for decile in found] == [10] * 10
    assert [decile.bytes_per_s_max for decile in found] == [1000 - n for n in range(90, -1, -10)]
    assert found[0] == Decile(bytes_per_s_max=910, offered=10, accepted=5, on_time=3, p50_ms=1950.0, p99_ms=1990.0)


def test_equal_uplinks_are_in_one_decile() -> None:
    """Else the order of arrival would look like unfairness."""
    outcomes = [outcome(f"u{n}", 0, 503) for n in range(100)]
    found = deciles(outcomes, {f"u{n}": 500 if n < 63 else 2000 for n in range(100)}, frozenset())

    assert [(decile.bytes_per_s_max, decile.offered) for decile in found] == [(500, 63), (2000, 37)]
    assert found[0].p50_ms is None
