"""The verdict on two sides of runs, on the metrics of the service level objective only."""

from collections.abc import Callable, Sequence
from typing import Final, Literal

import msgspec

from .bootstrap import CONFIDENCE, RUNS_MIN, SEED, interval
from .reports import Measured

Verdict = Literal["no worse", "worse", "cannot tell", "no baseline"]
EXIT: Final[dict[Verdict, int]] = {"no worse": 0, "worse": 1, "cannot tell": 3, "no baseline": 3}
PROMISES: Final = ("lost", "half", "doubled", "wrongly_late")


class Objective(msgspec.Struct, frozen=True):
    """A metric, its unit, its value in a run (None: not measured), and how much worse it may be.

    `allowed` is a share of the baseline's mean, or a difference of shares where `of_baseline` is false.
    """

    name: str
    unit: str
    value: Callable[[Measured], float | None]
    allowed: float
    of_baseline: bool = True


# CPU and memory are no promise to a user, so they are not judged here; `bench/results` has them.
OBJECTIVES: Final = (
    Objective("shed share", "of attempts", lambda one: one.shed / one.attempts if one.attempts else None, 0.01, False),
    Objective(
        "failed share",
        "of users",
        lambda one: (one.failed + one.unknown) / one.offered if one.offered else None,
        0.01,
        of_baseline=False,
    ),
    Objective("upload p99", "ms", lambda one: one.latency_ms.p99, 0.1),
    Objective("ready p90", "ms", lambda one: one.ready_ms.p90, 0.1),
)


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """One metric: means of both sides, the interval of their difference, the limit of the difference, the verdict.

    A promise has counts instead of means, and no interval.
    """

    name: str
    unit: str
    ours: float | None
    baseline: float | None
    low: float | None = None
    high: float | None = None
    allowed: float
    verdict: Verdict


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What `compare --json` prints."""

    verdict: Verdict
    why: str
    runs: int
    baseline_runs: int
    confidence: float = CONFIDENCE
    seed: int = SEED
    metrics: tuple[Judged, ...] = ()


def compared(ours: Sequence[Measured], baseline: Sequence[Measured], seed: int = SEED) -> Comparison:
    """Judge our runs against those of the baseline, which are of the same trace, scale, machine and settings."""
    metrics: tuple[Judged, ...] = ()
    if len(baseline) < RUNS_MIN:
        verdict: Verdict = "no baseline"
        why = f"it has {len(baseline)} runs, {RUNS_MIN} are needed; this is no pass"
    elif len(ours) < RUNS_MIN:
        verdict, why = "cannot tell", f"{len(ours)} runs, {RUNS_MIN} are needed"
    else:
        promises = [_promise(name, ours, baseline) for name in PROMISES]
        metrics = (*promises, *(_objective(one, ours, baseline, seed) for one in OBJECTIVES))
        verdict, why = _worst(metrics)
    return Comparison(verdict=verdict, why=why, runs=len(ours), baseline_runs=len(baseline), seed=seed, metrics=metrics)


def _worst(metrics: Sequence[Judged]) -> tuple[Verdict, str]:
    """The verdict of all, and the metrics that it comes from."""
    orders: tuple[Verdict, ...] = ("worse", "cannot tell")
    for verdict in orders:
        named = [one.name for one in metrics if one.verdict == verdict]
        if named:
            return verdict, ", ".join(named)
    return "no worse", "every metric is within its limit"


def _promise(name: str, ours: Sequence[Measured], baseline: Sequence[Measured]) -> Judged:
    broken, before = (sum(getattr(one, name) for one in side) for side in (ours, baseline))
    return Judged(
        name=name.replace("_", " "),
        unit="pairs",
        ours=broken,
        baseline=before,
        allowed=0,
        # A broken promise in any run, whatever the baseline did.
        verdict="worse" if broken else "no worse",
    )


def _objective(one: Objective, ours: Sequence[Measured], baseline: Sequence[Measured], seed: int) -> Judged:
    ours_known, baseline_known = (
        [value for run in side if (value := one.value(run)) is not None] for side in (ours, baseline)
    )
    before = _mean(baseline_known)
    judged = Judged(
        name=one.name,
        unit=one.unit,
        ours=_mean(ours_known),
        baseline=before,
        allowed=one.allowed * (before or 0.0) if one.of_baseline else one.allowed,
        verdict="cannot tell",
    )
    if len(ours_known) < len(ours) or len(baseline_known) < len(baseline):
        return judged  # in a run without the value nothing was accepted
    low, high = interval(ours_known, baseline_known, seed)
    allowed = judged.allowed
    # A non-inferiority test: worse when the whole interval of the difference lies above what is allowed, no worse when
    # all of it lies below.
    verdict: Verdict = "worse" if low > allowed else "no worse" if high <= allowed else "cannot tell"
    return msgspec.structs.replace(judged, low=low, high=high, verdict=verdict)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
