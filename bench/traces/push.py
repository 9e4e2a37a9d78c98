"""The push plan: when the notification reaches the phones. Pure.

The plan is a rate, or steps of rates from given seconds on; the last one lasts until every device has been reached.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from ..errors import BenchError

Floats = NDArray[np.floating[Any]]


class ShapeError(BenchError):
    """The parameters contradict each other; the text says which."""


class Step(msgspec.Struct, frozen=True):
    """From this second on, so many devices a minute."""

    from_s: Annotated[float, Meta(ge=0)]
    per_minute: Annotated[float, Meta(ge=0)]


# A push service has a quota a minute, so a push to millions of devices takes minutes: 5 M at 600,000 a minute take 8.3.
class Plan(msgspec.Struct, frozen=True):
    """The share of the devices (ascending from 0 to 1) that the push has reached after so many seconds."""

    shares: Floats
    seconds: Floats

    @property
    def length_s(self) -> float:
        """Seconds until the last device is reached."""
        return float(self.seconds[-1])

    def at(self, places: Floats) -> Floats:
        """The seconds at which the push reaches places 0 to 1 of it."""
        # Who posts is spread evenly over the devices, so a poster's place in the push is uniform.
        return np.interp(places, self.shares, self.seconds)


def even(length_s: float) -> Plan:
    """A push at one rate."""
    return Plan(np.array([0.0, 1.0]), np.array([0.0, length_s]))


def steps_of(words: str) -> tuple[Step, ...]:
    """The steps in `600000` or `0:600000,120:300000`; ShapeError when that is not what it says."""
    try:
        parts = [word.split(":") for word in words.split(",")]
        if len(parts) == 1 and len(parts[0]) == 1:
            parts = [["0", *parts[0]]]
        steps = tuple(Step(float(start), float(rate)) for start, rate in parts)
    except ValueError as error:
        raise ShapeError(f"--pushes-per-minute {words}: a rate, or FROM_S:RATE,… as in 0:600000,120:300000") from error
    return steps


def words_of(steps: Sequence[Step]) -> str:
    """The steps as `steps_of` reads them."""
    if len(steps) == 1:
        return f"{steps[0].per_minute:.12g}"
    return ",".join(f"{step.from_s:.12g}:{step.per_minute:.12g}" for step in steps)


def plan_of(devices: int, steps: Sequence[Step]) -> Plan:
    """The plan of a push to so many devices; ShapeError when the steps do not reach them or are not in order."""
    starts = [step.from_s for step in steps]
    if not all(0 <= value < float("inf") for step in steps for value in (step.from_s, step.per_minute)):
        raise ShapeError("pushes-per-minute: seconds and rates are finite and not negative")
    if starts[0] != 0 or starts != sorted(set(starts)):
        raise ShapeError("pushes-per-minute: the steps start at second 0 and ascend")
    reached, seconds = [0.0], [0.0]
    for step, until in zip(steps, [*starts[1:], float("inf")], strict=True):
        rate = step.per_minute / 60
        done = reached[-1] + rate * (until - step.from_s) if rate else reached[-1]
        if done >= devices:
            seconds.append(step.from_s + (devices - reached[-1]) / rate)
            reached.append(float(devices))
            return Plan(np.array(reached) / devices, np.array(seconds))
        reached.append(done)
        seconds.append(until)
    raise ShapeError(f"pushes-per-minute: the last rate is 0, and {devices - reached[-1]:.0f} devices are not reached")
