"""Turns of calls that are much work (lists, deletions, exports of all of a user's posts): few a node, fairly given.

A user has one call of a kind, in progress or waiting, and a rate. When all turns are taken a call waits, for `WAIT_S`
at most. The next turn is for the user whose last turn ended longest ago, before all for users who had none: so users
who ask in a loop, however many, cost others no more than one turn each. When a call waits, the turn of the client that
reads slowest ends, if it reads slower than a phone does.

Rates are counted in this process, at no cost to Redis: balancers send a user to the same node. Only a call that gets a
turn is counted. Nothing here knows what a call does.
"""

import asyncio
import math
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from cachetools import LRUCache

from .errors import Refusal
from .limits import Rate, decide, headers
from .returns import when_away_s

# Shorter than what balancers allow a silent node, and than the patience of people.
WAIT_S: Final = 10.0
# Between two looks at who reads slowly, and at clients that have gone.
LOOK_S: Final = 0.25
# A waiting call holds a connection, and a place of a read (read_admission.py): together a quarter of those.
WAITING_MAX: Final = 32
# 512 kbit/s: a weak mobile network.
SLOW_BYTES_S: Final = 64 * 1024
# Users whose last turn is remembered: some 200 bytes each.
USERS_MAX: Final = 20_000


class Turn:
    """One call. `before` is when the user's last turn ended, in seconds; minus infinity if there was none.

    A call whose client can be slow sets `pace`, the bytes per second that the client takes, and `end`.
    """

    __slots__ = ("before", "end", "ending", "given", "pace", "user")

    def __init__(self, user: str, before: float) -> None:
        self.user = user
        self.before = before
        self.given: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.ending = False
        self.pace: Callable[[], float] | None = None
        self.end: Callable[[], None] | None = None


class Turns:
    """The turns of one kind of call on this node: `most` at a time. `what` the calls are called."""

    def __init__(self, most: int, what: str, rate: Rate, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._what = what
        self._rate = rate
        self._clock = clock
        self._turns: dict[str, Turn] = {}  # by user: of all calls
        self._running: list[Turn] = []
        self._waiting: list[Turn] = []  # in the order in which they came
        self._last: LRUCache[str, float] = LRUCache(USERS_MAX)
        self._tats: LRUCache[str, int] = LRUCache(USERS_MAX)

    @asynccontextmanager
    async def of(
        self, user_id: str, *, limited: bool = True, gone: Callable[[], bool] = lambda: False
    ) -> AsyncIterator[Turn]:
        """A turn about this user; Refusal when there is none, `limited`: or when the user calls too often.

        `gone` says that the client has disconnected.
        """
        if user_id in self._turns:
            detail = f"another of the {self._what} of this user is not finished; retry when it is"
            raise Refusal("rate-limited", detail, headers=_soon())
        tat_ms = self._allowed(user_id) if limited else 0
        turn = self._turns[user_id] = Turn(user_id, self._last.get(user_id, -math.inf))
        try:
            self._waiting.append(turn)
            self._give()
            if not turn.given.done():
                await self._wait(turn, gone)
            if limited:
                self._tats[user_id] = tat_ms
            yield turn
        finally:
            self._leave(turn)

    def _allowed(self, user_id: str) -> int:
        """The user's TAT (limits.py) after this call; Refusal when the user calls too often."""
        tat_ms, decision = decide(self._tats.get(user_id, 0), int(self._clock() * 1000), self._rate)
        if not decision.allowed:
            detail = f"{self._rate.burst} {self._what} of one user in {self._rate.period_s} s; retry after Retry-After"
            raise Refusal("rate-limited", detail, headers=headers(decision, self._rate, self._what.split()[0]))
        return tat_ms

    async def _wait(self, turn: Turn, gone: Callable[[], bool]) -> None:
        """Until the turn is given; Refusal when it is not."""
        self._turn_away()
        end_s = self._clock() + WAIT_S
        while not turn.given.done():
            self._end_slow()
            await asyncio.wait([turn.given], timeout=LOOK_S)
            if not turn.given.done() and (self._clock() >= end_s or gone()):
                turn.given.set_result(False)
        if not turn.given.result():
            detail = f"this node makes {self._most} {self._what} at a time, and others wait; ask again"
            raise Refusal("overloaded", detail, headers=_soon())

    def _leave(self, turn: Turn) -> None:
        del self._turns[turn.user]
        if turn in self._waiting:
            self._waiting.remove(turn)
        if turn in self._running:
            self._running.remove(turn)
            self._last[turn.user] = self._clock()
            self._give()

    def _give(self) -> None:
        """Give free turns; of equals to the one who came first."""
        self._waiting = [one for one in self._waiting if not one.given.done()]
        while self._waiting and len(self._running) < self._most:
            first = min(self._waiting, key=lambda one: one.before)
            self._waiting.remove(first)
            self._running.append(first)
            first.given.set_result(True)

    def _turn_away(self) -> None:
        """Refuse the waiting call whose turn would be last, when too many wait; of equals the one who came last."""
        waiting = [one for one in self._waiting if not one.given.done()]
        if len(waiting) > WAITING_MAX:
            max(reversed(waiting), key=lambda one: one.before).given.set_result(False)

    def _end_slow(self) -> None:
        """End the turn of the slowest client, if it is too slow, unless as many end already as wait."""
        ending = sum(one.ending for one in self._running)
        if ending >= len(self._waiting):
            return
        paces = [(one.pace(), one) for one in self._running if one.pace and not one.ending]
        pace, slowest = min(paces, key=lambda pair: pair[0], default=(math.inf, None))
        if slowest and slowest.end and pace < SLOW_BYTES_S:
            slowest.ending = True
            slowest.end()


def _soon() -> dict[str, str]:
    return {"Retry-After": str(when_away_s(random.random()))}
