"""One upload's place in a node: the announced bytes, the received bytes, and the expected ones.

Pure: time comes in. Announced bytes need no memory until they arrive, because a buffer's pages are allocated on use. So
a place is charged for what it holds and what it will soon need: first twice the usual size of an upload, later twice
what has been received. An upload that would take many times as long as usual is *slow*: it is charged only for what it
holds, and is shed first when memory is short. The usual values are learned from uploads that were received completely.
"""

import math
from collections.abc import Callable
from typing import Final

PATIENCE_S: Final = 2.0  # before the pace of an upload is judged
SLOW_TIMES: Final = 8  # times the usual duration: the limit for a slow upload
SLOW_S_MIN: Final = 16.0  # 600 KB at 38 KB/s; where all phones are fast, usual uploads must not be slow
SLOW_S_MAX: Final = 120.0
# 32 KiB may wait in the balancer and 32 KiB in the node's kernel, because neither process is woken for less.
UNSEEN_BYTES: Final = 64 * 1024
RESERVED_TIMES: Final = 2
LEARN: Final = 1.05


class Usual:
    """An estimate of the median, followed in steps of 5 %: an outlier moves it no more than any other value."""

    __slots__ = ("value",)

    def __init__(self, value: float) -> None:
        self.value = value

    def told(self, value: float) -> None:
        """Move the estimate towards `value`."""
        self.value *= LEARN if value > self.value else 1 / LEARN


class Place:
    """One upload in flight. `on_shed` is set by its receiver: it ends the upload and frees the memory at once.

    `length` is the most that may arrive; `announced` says whether the client announced that length.
    """

    __slots__ = (
        *("user", "length", "announced", "since", "received", "held", "charged", "slow", "whole", "gone", "on_shed"),
        *("parked_at", "active_at", "active_bytes"),
    )

    def __init__(self, user: str, length: int, since: float, *, announced: bool = True, slow: bool = False) -> None:
        self.user = user
        self.length = length
        self.announced = announced
        self.since = since
        self.received = 0  # bytes received
        self.active_at, self.active_bytes = since, 0  # the last activity that counts, and what had come (`parked.py`)
        self.held = 0  # bytes of memory: `received`, or more in a reused buffer
        self.charged = 0  # bytes charged to the budget
        self.slow = slow
        self.whole = False  # completely received: waits for the store, or for its answer
        self.gone = False
        self.parked_at: float | None = None  # waits since then for its client, whose connection broke
        self.on_shed: Callable[[], None] | None = None

    def __repr__(self) -> str:
        state = "gone" if self.gone else "whole" if self.whole else "slow" if self.slow else "coming"
        state = "parked" if self.parked_at is not None else state
        return f"<Place {state}, {self.received}/{self.length} bytes, {self.charged} charged>"

    def shed(self) -> None:
        """End the upload; admission has already released the place."""
        if self.on_shed:
            self.on_shed()

    def use(self) -> tuple[bool, float]:
        """What speaks for keeping this one of its user's uploads: that it moves, then the part that has arrived."""
        return self.parked_at is None, self.received / max(self.length, 1)

    def charge(self, usual_bytes: float) -> int:
        """The bytes to charge for this place now."""
        if self.whole or self.slow:
            return self.held
        return max(self.held, min(self.length, RESERVED_TIMES * max(int(usual_bytes), self.received)))

    def left_s(self, now: float, usual_bytes: float) -> float:
        """Seconds until the upload is complete at its pace so far; infinite until `PATIENCE_S` have passed."""
        lasted = now - self.since
        if lasted < PATIENCE_S:
            return math.inf
        aim = self.length if self.announced else min(self.length, RESERVED_TIMES * max(usual_bytes, self.received))
        return lasted * max(0.0, aim / (self.received + UNSEEN_BYTES) - 1)

    def is_slow(self, now: float, left_s: float, usual_s: float) -> bool:
        """Whether the upload takes many times as long as usual; unchanged until `PATIENCE_S` have passed."""
        lasted = now - self.since
        return self.slow if lasted < PATIENCE_S else lasted + left_s > slow_s(usual_s)


def slow_s(usual_s: float) -> float:
    """The duration in seconds above which an upload is slow."""
    return min(SLOW_S_MAX, max(SLOW_S_MIN, SLOW_TIMES * usual_s))
