"""Turns of calls that are much work (lists, deletions, exports of all of a user's posts): few a node, fairly given.

A user has one call of a kind, in progress or waiting, and a rate. When all turns are taken a call waits, for `WAIT_S`
at most. The next turn is for the user whose last turn ended longest ago, before all for users who had none: so users
who ask in a loop, however many, cost others no more than one turn each. Of several the first is who first asked, also
if it was refused since. When a call waits, a turn ends whose client reads too slowly or for too long (giving_way.py).

Rates are counted in this process, at no cost to Redis: balancers send a user to the same node. Only a call that gets a
turn is counted. Nothing here knows what a call does.
"""

import asyncio
import math
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, Protocol

from cachetools import LRUCache

from .errors import Refusal
from .gcra import Rate, decide, headers
from .giving_way import Running, free_in_s, gives_way
from .returns import WAIT_S_MAX, when_away_s

# Shorter than what balancers allow a silent node, and than the patience of people.
WAIT_S: Final = 10.0
# Between two looks at who reads slowly, and at clients that have gone.
LOOK_S: Final = 0.25
# Of each kind. A waiting call holds a connection, and a place of a read: three kinds hold 96 of 256 (config.py).
WAITING_MAX: Final = 32
# Users whose last turn, or first question, is remembered: some 200 bytes each.
USERS_MAX: Final = 20_000


class Client(Protocol):
    """The client of a call, which can be slow."""

    def pace(self) -> float:
        """The bytes per second that it takes now, or last took; infinite until that can be said."""

    def waited_s(self) -> float:
        """The seconds in which the node waited for it."""

    def end(self) -> None:
        """End the call, whatever it does now."""


class Turn:
    """One call. `before` is when the user's last turn ended, in seconds; minus infinity if there was none.

    `asked` is when the user first asked for this turn. A call that may be ended for others sets `client`.
    """

    __slots__ = ("asked", "before", "client", "ending", "given", "since", "user")

    def __init__(self, user: str, before: float, asked: float) -> None:
        self.user = user
        self.before = before
        self.asked = asked
        self.since = math.inf
        self.given: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.ending = False
        self.client: Client | None = None

    @property
    def order(self) -> tuple[float, float]:
        """The least of these gets the next turn."""
        return self.before, self.asked


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
        self._asked: LRUCache[str, float] = LRUCache(USERS_MAX)  # of users who were refused since
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
        asked = self._asked.get(user_id, self._clock())
        turn = self._turns[user_id] = Turn(user_id, self._last.get(user_id, -math.inf), asked)
        try:
            self._waiting.append(turn)
            self._give()
            if not turn.given.done():
                await self._wait(turn, gone)
            self._asked.pop(user_id, None)
            if limited:
                self._tats[user_id] = tat_ms
            yield turn
        finally:
            self._leave(turn)

    def _allowed(self, user_id: str) -> int:
        """The user's TAT (gcra.py) after this call; Refusal when the user calls too often."""
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
            self._end_one()
            await asyncio.wait([turn.given], timeout=LOOK_S)
            if not turn.given.done() and (self._clock() >= end_s or gone()):
                turn.given.set_result(False)
        if not turn.given.result():
            self._asked[turn.user] = turn.asked
            detail = f"this node makes {self._most} {self._what} at a time, and others wait; retry after Retry-After"
            raise Refusal("overloaded", detail, headers=self._when_free(turn))

    def _when_free(self, turn: Turn) -> dict[str, str]:
        """When a turn is free at the latest, if clients can be ended; a few seconds where all turns are that short."""
        running = [self._as_running(one, one.client) for one in self._running if one.client]
        if not running:
            return _soon()
        ahead = sum(one.order < turn.order for one in self._waiting if not one.given.done())
        wait_s = min(free_in_s(running, ahead), WAIT_S_MAX - 1)
        return {"Retry-After": str(1 + int(wait_s + random.random()))}

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
            first = min(self._waiting, key=lambda one: one.order)
            self._waiting.remove(first)
            self._running.append(first)
            first.since = self._clock()
            first.given.set_result(True)

    def _turn_away(self) -> None:
        """Refuse the waiting call whose turn would be last, when too many wait; of equals the one who came last."""
        waiting = [one for one in self._waiting if not one.given.done()]
        if len(waiting) > WAITING_MAX:
            max(reversed(waiting), key=lambda one: one.order).given.set_result(False)

    def _end_one(self) -> None:
        """End the turn that must end for one that waits, if there is one."""
        clients = [(one, one.client) for one in self._running if one.client]
        number = gives_way([self._as_running(*pair) for pair in clients], len(self._waiting))
        if number is not None:
            turn, client = clients[number]
            turn.ending = True
            client.end()

    def _as_running(self, turn: Turn, client: Client) -> Running:
        return Running(self._clock() - turn.since, client.waited_s(), client.pace(), turn.ending)


def _soon() -> dict[str, str]:
    return {"Retry-After": str(when_away_s(random.random()))}
