"""How many workers there should be: from the queue, and from the moments that are known before they fire.

    wanted  = ceil((ready / time left + arrivals) · service time / utilisation)       Little's law
    needed  = max(wanted, workers_warm while a moment is near), within workers_min … workers_max
    desired = the largest `needed` of the last `down_s`

So it goes up at once and down only when nothing has needed the workers for `down_s`: a queue that empties between two
waves costs idle workers for minutes, a worker started too late costs the whole drain target. A reactive scaler alone
cannot follow a burst of two minutes (seven doublings at 15 s are 105 s), but we send the notification ourselves and
know when it comes: the floor is up `lead_s` before.

Example: 10,000 ready, 60 s to drain them, 100 arrivals/s, 0.12 s a job, 0.7 utilisation: ceil(266.7 · 0.12 / 0.7) = 46.

Pure. It does not know how workers are started, which of them to stop (the idle ones), or where numbers come from.
"""

import math
from collections.abc import Iterable

import msgspec

# The time left to drain never falls below this part of the drain target: a single forgotten job, hours old, must not
# call the whole fleet, and four times the workers catch up soon enough.
TIME_LEFT_MIN = 0.25
# What floating point adds to an exact quotient must not start a worker.
ROUNDING = 1e-9


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds and patience. `workers_warm` lies between the other two, `utilisation` in (0, 1]; the rest is positive.

    `hold_s` keeps the floor after the window: phones on slow uplinks finish then what they began in time. `down_s`
    is Kubernetes' own default and outlasts a window.
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
    """The queue as just measured: jobs that could start now, the age of the oldest of them, arrivals, work per job.

    `service_s` is what one worker spends on one job; before any is measured the caller gives an estimate.
    """

    ready: int
    oldest_s: float
    arrivals_per_s: float
    service_s: float


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """A scheduled notification; unix milliseconds and seconds."""

    fires_at_ms: int
    window_s: float


class Needed(msgspec.Struct, frozen=True, kw_only=True):
    """How many workers were needed at an instant (unix milliseconds)."""

    at_ms: int
    workers: int


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The desired number of workers, and the history to hand to the next decision: sorted, newest and least last."""

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
) -> Decision:
    """What to aim at now, with `workers` running.

    A load of None is a stale metric: who sees nothing stops nobody, so what was desired last is needed still. Without
    a history (the scaler has just started) the running workers count as needed: its restart stops nobody either.
    """
    if not history:
        history = (Needed(at_ms=now_ms, workers=workers),)
    floor = limits.workers_warm if any(_is_near(moment, limits, now_ms) for moment in schedule) else limits.workers_min
    wanted = history[0].workers if load is None else _wanted(load, limits)
    needed = min(max(wanted, floor), limits.workers_max)

    # A sliding maximum: what is not above the newest value can never be the maximum again.
    kept = [past for past in history if abs(now_ms - past.at_ms) <= limits.down_s * 1000 and past.workers > needed]
    recent = (*kept, Needed(at_ms=now_ms, workers=needed))
    return Decision(desired=min(recent[0].workers, limits.workers_max), history=recent)


def _wanted(load: Load, limits: Limits) -> int:
    """Workers that keep up with the arrivals and empty the queue before its oldest job is `drain_s` old."""
    time_left_s = max(limits.drain_s - load.oldest_s, limits.drain_s * TIME_LEFT_MIN)
    rate = load.ready / time_left_s + load.arrivals_per_s
    return math.ceil(min(rate * load.service_s / limits.utilisation, limits.workers_max) - ROUNDING)


def _is_near(moment: Moment, limits: Limits, now_ms: int) -> bool:
    """Whether the moment is about to fire, or its window (and the stragglers' time after it) is open."""
    since_s = (now_ms - moment.fires_at_ms) / 1000
    return -limits.lead_s <= since_s < moment.window_s + limits.hold_s
