"""One upload's place in a node: what it announced, what has come, and what is to be expected of it.

Pure: time comes in. Announced bytes cost nothing until they come, because a buffer's pages come with its bytes; so a
place is charged for what it holds and for what it will soon bring: twice what an upload usually has, then twice what
has come. An upload that would take many times as long as others do is *slow*: it is charged for what it holds alone,
and it is the first to go when room is short. What is usual is learnt from the uploads that came whole.
"""

import math
from collections.abc import Callable
from typing import Final

PATIENCE_S: Final = 2.0  # before anything is said of an upload's pace
SLOW_TIMES: Final = 8  # the usual time
SLOW_S_MIN: Final = 16.0  # 600 KB at 38 KB/s; where all phones are fast, a usual one must not be slow
SLOW_S_MAX: Final = 120.0
# 32 KiB may wait in the balancer and 32 in our kernel, because neither is woken for less.
UNSEEN_BYTES: Final = 64 * 1024
RESERVED_TIMES: Final = 2
LEARN: Final = 1.05


class Usual:
    """The median of what it is told of, followed in steps of 5 %: one extreme moves it as little as any other."""

    __slots__ = ("value",)

    def __init__(self, value: float) -> None:
        self.value = value

    def told(self, value: float) -> None:
        """One more."""
        self.value *= LEARN if value > self.value else 1 / LEARN


class Place:
    """One upload in flight. `on_shed` is its receiver's: it ends the upload and gives the memory back at once.

    `length` is the most that may come; `announced` says whether that is what the client said it would send.
    """

    __slots__ = (
        *("announced", "charged", "gone", "held", "length", "on_shed", "received", "since", "slow", "user", "whole"),
    )

    def __init__(self, user: str, length: int, since: float, *, announced: bool = True, slow: bool = False) -> None:
        self.user = user
        self.length = length
        self.announced = announced
        self.since = since
        self.received = 0  # bytes that have come
        self.held = 0  # bytes of memory: those, or more where the buffer was used before
        self.charged = 0  # what the budget is charged
        self.slow = slow
        self.whole = False  # all has come: it waits for the store, or for its answer
        self.gone = False
        self.on_shed: Callable[[], None] | None = None

    def __repr__(self) -> str:
        state = "gone" if self.gone else "whole" if self.whole else "slow" if self.slow else "coming"
        return f"<Place {state}, {self.received}/{self.length} bytes, {self.charged} charged>"

    def shed(self) -> None:
        """End it: admission has counted it out."""
        if self.on_shed:
            self.on_shed()

    def charge(self, usual_bytes: float) -> int:
        """What it should be charged now."""
        if self.whole or self.slow:
            return self.held
        return max(self.held, min(self.length, RESERVED_TIMES * max(int(usual_bytes), self.received)))

    def left_s(self, now: float, usual_bytes: float) -> float:
        """Seconds until it will have come whole, at its pace so far; infinite while nothing is known."""
        lasted = now - self.since
        if lasted < PATIENCE_S:
            return math.inf
        aim = self.length if self.announced else min(self.length, RESERVED_TIMES * max(usual_bytes, self.received))
        return lasted * max(0.0, aim / (self.received + UNSEEN_BYTES) - 1)

    def is_slow(self, now: float, left_s: float, usual_s: float) -> bool:
        """Whether it takes many times as long as others do; as before while nothing is known."""
        lasted = now - self.since
        return self.slow if lasted < PATIENCE_S else lasted + left_s > slow_s(usual_s)


def slow_s(usual_s: float) -> float:
    """Longer than this and an upload is slow."""
    return min(SLOW_S_MAX, max(SLOW_S_MIN, SLOW_TIMES * usual_s))
