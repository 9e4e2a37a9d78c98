"""The desired number of workers, from the queue and from the schedule of moments.

    wanted  = ceil((ready / time left + arrivals) · service time / utilisation)       Little's law
    needed  = max(wanted, planned, workers_warm while a moment is near), within workers_min … workers_max
    desired = the largest `needed` of the last `down_s`

Example: 10,000 ready, 60 s to drain them, 100 arrivals/s, 0.12 s a job, 0.7 utilisation: ceil(266.7 · 0.12 / 0.7) = 46.

Pure. It does not know how workers start, which of them stop, or where the numbers come from.
"""

import math
from collections.abc import Iterable

import msgspec

# The minimum of the time left to drain, as a part of the drain target: one forgotten job, hours old, must not start all
# workers, and four times the usual number catches up soon enough.
TIME_LEFT_MIN = 0.25
# Tolerance for floating-point error, which must not start one more worker.
ROUNDING = 1e-9


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds and delays. `workers_warm` lies between the other two, `utilisation` in (0, 1]; the rest is positive.

    `hold_s` keeps the floor after the window, when phones on slow uplinks finish their uploads. `down_s` is Kubernetes'
    default and longer than a window.
    """

    workers_min: int
    workers_max: int
    workers_warm: int
    drain_s: float = 60.0
    lead_s: float = 60.0
    hold_s: float = 30.0
    down_s: float = 300.0
    utilisation: float = 0.7


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """The measured load: jobs that could start now (`ready`), the age of the oldest of them, and the arrival rate.

    `service_s` is one worker's time for one job; before the first measurement it is the caller's estimate.
    """

    ready: int
    oldest_s: float
    arrivals_per_s: float
    service_s: float


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """A scheduled notification: when it fires (unix milliseconds), and the length of its window in seconds."""

    fires_at_ms: int
    window_s: float


class Needed(msgspec.Struct, frozen=True, kw_only=True):
    """How many workers were needed at an instant (unix milliseconds)."""

    at_ms: int
    workers: int


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The desired number of workers, and the history for the next decision: the newest and smallest entry is last."""

    desired: int
    history: tuple[Needed, ...]


def decide(
    load: Load | None,
    schedule: Iterable[Moment],
    limits: Limits,
    *,
    workers: int,
    now_ms: int,
    history: tuple[Needed, ...] = (),
    planned: int = 0,
) -> Decision:
    """The desired number of workers now, while `workers` are running and a plan asks for `planned` of them.

    `load` is None when the queue could not be measured: the number then does not go down. Without a history (the scaler
    has just started) the running workers count as needed, so a restart of the scaler stops no worker.
    """
    if not history:
        history = (Needed(at_ms=now_ms, workers=workers),)
    # A reactive scaler alone cannot follow a burst of two minutes (seven doublings at 15 s are 105 s). But we send the
    # notification ourselves and know its time, so the floor rises before.
    floor = limits.workers_warm if any(_is_near(moment, limits, now_ms) for moment in schedule) else limits.workers_min
    wanted = history[0].workers if load is None else _wanted(load, limits)
    needed = min(max(wanted, floor, planned), limits.workers_max)

    # Up at once, down only after `down_s`: idle workers between two waves cost minutes of CPU, workers that start too
    # late cost the drain target. A sliding maximum: an older value that is not above the newest one can never be the
    # maximum again.
    kept = [past for past in history if abs(now_ms - past.at_ms) <= limits.down_s * 1000 and past.workers > needed]
    recent = (*kept, Needed(at_ms=now_ms, workers=needed))
    return Decision(desired=min(recent[0].workers, limits.workers_max), history=recent)


def _wanted(load: Load, limits: Limits) -> int:
    """The workers that keep up with arrivals and empty the queue before its oldest job is `drain_s` old."""
    time_left_s = max(limits.drain_s - load.oldest_s, limits.drain_s * TIME_LEFT_MIN)
    rate = load.ready / time_left_s + load.arrivals_per_s
    return math.ceil(min(rate * load.service_s / limits.utilisation, limits.workers_max) - ROUNDING)


def _is_near(moment: Moment, limits: Limits, now_ms: int) -> bool:
    """Whether the moment fires within `lead_s`, or its window ended less than `hold_s` ago or is still open."""
    since_s = (now_ms - moment.fires_at_ms) / 1000
    return -limits.lead_s <= since_s < moment.window_s + limits.hold_s
