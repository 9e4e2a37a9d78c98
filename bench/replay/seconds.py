"""A replay by the second of its burst and by the speed of its uplinks: what drawings and comparisons are made of.

Pure.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from math import ceil, floor
from typing import Final

import msgspec

from ..outcome import Outcome
from ..rows import percentile

FIGURES_BITS: Final = 11  # 2,000 rounded up to a power of two: three significant figures, as HdrHistogram has them
DECILES: Final = 10


class Second(msgspec.Struct, frozen=True, kw_only=True):
    """Second `t` after the moment. offered = accepted + failed; `shed` and `limited` count answers (503, 429).

    A histogram's key is the upper bound of a bucket in ms: `upload_ms` from the intended time to the acknowledgement,
    `ready_ms` from there to the first sight of the rendered post. `cpu_ms` is what each tier spent within the second.
    """

    t: int
    offered: int = 0
    accepted: int = 0
    shed: int = 0
    limited: int = 0
    failed: int = 0
    # A sparse log-linear histogram with the buckets of HdrHistogram: the sum of two is the histogram of both, so
    # nothing is lost when seconds are added up.
    upload_ms: dict[str, int] = {}
    ready_ms: dict[str, int] = {}
    cpu_ms: dict[str, float] = {}


class Decile(msgspec.Struct, frozen=True, kw_only=True):
    """The tenth of the arrivals whose uplinks have at most this speed and more than the decile before.

    Equal uplinks are in one decile, so there may be fewer than ten, of unequal size. Times as in `Second.upload_ms`.
    """

    bytes_per_s_max: int
    offered: int
    accepted: int
    on_time: int
    p50_ms: float | None
    p99_ms: float | None


class Spent(msgspec.Struct, frozen=True):
    """CPU ms that each tier had spent at the Unix second `at`, since any fixed time."""

    at: float
    cpu_ms: dict[str, float]


def bucket(ms: float) -> str:
    """The upper bound, in ms, of the histogram bucket that holds this time."""
    us = max(0, round(ms * 1000))
    shift = max(0, us.bit_length() - FIGURES_BITS)
    return f"{((((us >> shift) + 1) << shift) - 1) / 1000:.3f}"


def seconds_of(
    outcomes: Iterable[Outcome], fires_at: float, ready_s: Mapping[str, float], spent: Sequence[Spent] = ()
) -> tuple[Second, ...]:
    """Every second from the moment to the last that had an arrival or CPU; `ready_s` by the id of the post."""
    by_second: dict[int, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        # The second of its intended time, with all of its answers: a pair that was shed in second 3 and accepted in
        # second 9 counts in second 3 both times, so the seconds add up to the report's totals.
        by_second[floor(round(outcome.intended - fires_at, 6))].append(outcome)
    cpu = _by_second(spent, fires_at)
    last = max([*by_second, *cpu], default=-1)
    return tuple(_second(t, by_second.get(t, ()), ready_s, cpu.get(t, {})) for t in range(last + 1))


def _second(t: int, outcomes: Sequence[Outcome], ready_s: Mapping[str, float], cpu_ms: dict[str, float]) -> Second:
    accepted = [outcome for outcome in outcomes if outcome.acknowledged]
    answers = Counter(attempt.status for outcome in outcomes for attempt in outcome.attempts)
    waited = (ready_s[post_id] for outcome in accepted if (post_id := outcome.post_id) and post_id in ready_s)
    return Second(
        t=t,
        offered=len(outcomes),
        accepted=len(accepted),
        shed=answers[503],
        limited=answers[429],
        failed=len(outcomes) - len(accepted),
        upload_ms=dict(Counter(bucket(upload_ms(outcome)) for outcome in accepted)),
        ready_ms=dict(Counter(bucket(seconds * 1000) for seconds in waited)),
        cpu_ms={tier: round(ms, 3) for tier, ms in cpu_ms.items()},
    )


def upload_ms(outcome: Outcome) -> float:
    """Milliseconds from the intended time to the end of the last try."""
    return (outcome.finished - outcome.intended) * 1000


def _by_second(spent: Sequence[Spent], fires_at: float) -> dict[int, dict[str, float]]:
    """CPU ms of each tier in each second; between two samples it counts as spent evenly. None before the moment."""
    found: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for before, after in pairwise(spent):
        begin, end = before.at - fires_at, after.at - fires_at
        for t in range(max(0, floor(begin)), max(0, ceil(end))):
            share = (min(end, t + 1) - max(begin, t)) / (end - begin)
            for tier, ms in after.cpu_ms.items():
                found[t][tier] += (ms - before.cpu_ms.get(tier, 0.0)) * share
    return found


def deciles(outcomes: Sequence[Outcome], bytes_per_s: Mapping[str, int], on_time: frozenset[str]) -> tuple[Decile, ...]:
    """The arrivals by the speed of their uplinks, slowest first; speeds by user, and the users who were on time."""
    if not outcomes:
        return ()
    speeds = sorted(bytes_per_s[outcome.user] for outcome in outcomes)
    bounds = sorted({percentile(speeds, 100 * n / DECILES) for n in range(1, DECILES + 1)})
    groups: list[list[Outcome]] = [[] for _ in bounds]
    for outcome in outcomes:
        groups[bisect_left(bounds, bytes_per_s[outcome.user])].append(outcome)
    return tuple(_decile(int(most), group, on_time) for most, group in zip(bounds, groups, strict=True))


def _decile(bytes_per_s_max: int, outcomes: Sequence[Outcome], on_time: frozenset[str]) -> Decile:
    times = sorted(upload_ms(outcome) for outcome in outcomes if outcome.acknowledged)
    return Decile(
        bytes_per_s_max=bytes_per_s_max,
        offered=len(outcomes),
        accepted=len(times),
        on_time=sum(outcome.user in on_time for outcome in outcomes),
        p50_ms=round(percentile(times, 50), 1) if times else None,
        p99_ms=round(percentile(times, 99), 1) if times else None,
    )
