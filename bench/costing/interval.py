"""CPU of processes over one step: read immediately before and after it, so that a check outside costs nothing."""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import msgspec

from ..peers import meter

T = TypeVar("T")


class Spent(msgspec.Struct, frozen=True):
    """Seconds of a step, and the CPU milliseconds of each process and its descendants meanwhile, by name."""

    seconds: float
    cpu_ms: dict[str, float]

    def beyond(self, idle_cores: Mapping[str, float]) -> "Spent":
        """Without what the processes use when there is nothing to do; at least 0."""
        kept = {
            name: max(0.0, ms - idle_cores.get(name, 0.0) * self.seconds * 1000) for name, ms in self.cpu_ms.items()
        }
        return Spent(self.seconds, kept)


class Meter:
    """Reads the CPU of named processes; `spent` is what they used since it was made."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._began, self._before = time.monotonic(), self._read()

    def spent(self) -> Spent:
        """The difference to the first reading."""
        after, now = self._read(), time.monotonic()
        return Spent(now - self._began, {name: ms - self._before[name] for name, ms in after.items()})

    def _read(self) -> dict[str, float]:
        return {name: meter.cpu_ms(pid) for name, pid in self._pids.items()}


async def measured(
    pids: Mapping[str, int], step: Callable[[], Awaitable[T]], check: Callable[[T], Awaitable[None]] | None = None
) -> tuple[Spent, T]:
    """What the processes spent on the step, and its result; the check runs after the second reading."""
    reading = Meter(pids)
    done = await step()
    # Before the check: what the bench does to know that the step was right (listing, GETs, summaries) is in no figure.
    spent = reading.spent()
    if check is not None:
        await check(done)
    return spent, done
