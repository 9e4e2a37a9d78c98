"""Turns of calls that are much work: few a node, one of a user, and no crowd takes more than its share."""

import asyncio
import math
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from ingest import turns as module
from ingest.errors import Refusal
from ingest.gcra import Rate
from ingest.giving_way import SLOW_BYTES_S, TURN_S
from ingest.turns import WAITING_MAX, Turns
from tests.faults.rig import until as eventually

OFTEN = Rate(1000, 1)


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """The seconds."""
        return self.now


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often."""
    monkeypatch.setattr(module, "LOOK_S", 0.001)


async def refused(turns: Turns, user: str, *, limited: bool = True) -> Refusal:
    """The refusal of a turn for this user."""
    with pytest.raises(Refusal) as refusal:
        async with turns.of(user, limited=limited):
            raise AssertionError
    return refusal.value


class Crowd:
    """Calls that take their turns in the background; `order` is who had one, `ends` lets one end."""

    def __init__(self, turns: Turns, group: asyncio.TaskGroup) -> None:
        self.turns, self.group = turns, group
        self.order: list[str] = []
        self.refused: list[str] = []
        self.ends: dict[str, asyncio.Event] = {}

    async def come(self, *users: str, gone: Callable[[], bool] = lambda: False) -> None:
        """Let these users call, one after the other."""
        for user in users:
            self.ends[user] = asyncio.Event()
            self.group.create_task(self._call(user, gone), name=user)
            await settled()

    async def end(self, user: str) -> None:
        """Let this user's call end."""
        self.ends[user].set()
        await settled()

    async def _call(self, user: str, gone: Callable[[], bool]) -> None:
        try:
            async with self.turns.of(user, gone=gone):
                self.order.append(user)
                await self.ends[user].wait()
        except Refusal as refusal:
            self.refused.append(f"{user} {refusal.code}")


async def settled() -> None:
    """Let all tasks go on until they wait."""
    for _ in range(10):
        await asyncio.sleep(0)


async def until(holds: Callable[[], bool]) -> None:
    """Wait until this holds."""

    async def held() -> bool:
        return holds()

    await eventually(held, "the turns are as wanted")


async def test_a_user_has_one_call_in_progress_or_waiting() -> None:
    """The second is told to wait (429); a turn that failed is free."""
    turns = Turns(1, "exports", OFTEN)
    async with asyncio.TaskGroup() as group:
        crowd = Crowd(turns, group)
        await crowd.come("ann", "ben")
        for user in ("ann", "ben"):
            again = await refused(turns, user)
            assert (again.code, int(again.headers["Retry-After"]) >= 1) == ("rate-limited", True)
        await crowd.end("ann")
        await crowd.end("ben")
    with pytest.raises(ZeroDivisionError):
        async with turns.of("ann"):
            raise ZeroDivisionError
    async with turns.of("ann"):
        pass


async def test_a_user_has_a_rate_in_which_refused_calls_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides of it; another user and operators are not concerned; the fields say when to come back."""
    clock = Clock()
    turns = Turns(1, "exports", Rate(2, 60), clock=clock)
    monkeypatch.setattr(module, "WAIT_S", 0.0)
    async with turns.of("ben"):
        assert (await refused(turns, "ann")).code == "overloaded"
    for _ in range(2):
        async with turns.of("ann"):
            pass
    over = await refused(turns, "ann")
    assert (over.code, over.headers["Retry-After"]) == ("rate-limited", "30")
    assert over.headers["RateLimit-Policy"] == '"exports";q=2;w=60'
    async with turns.of("ann", limited=False), AsyncExitStack():
        pass
    clock.now += 29.9
    assert (await refused(turns, "ann")).headers["Retry-After"] == "1"
    clock.now += 0.2
    async with turns.of("ann"):
        pass


async def test_who_had_no_turn_for_the_longest_time_is_next() -> None:
    """Before all who had none, in the order in which they came; so a crowd that asks in a loop does not keep it."""
    clock = Clock()
    turns = Turns(1, "lists", OFTEN, clock=clock)
    for user in ("loud", "old"):
        async with turns.of(user):
            clock.now += 1
    async with turns.of("loud"):
        clock.now += 1
    async with asyncio.TaskGroup() as group:
        crowd = Crowd(turns, group)
        await crowd.come("first", "loud", "old", "new", "newer")
        assert crowd.order == ["first"]
        for user in ("first", "new", "newer", "old", "loud"):
            await crowd.end(user)
    assert crowd.order == ["first", "new", "newer", "old", "loud"]


async def test_a_call_waits_for_so_long_and_not_for_a_client_that_has_gone() -> None:
    """Then it is answered 503, and takes no turn."""
    clock, gone = Clock(), [False]
    turns = Turns(1, "lists", OFTEN, clock=clock)
    async with asyncio.TaskGroup() as group:
        crowd = Crowd(turns, group)
        await crowd.come("ann")
        await crowd.come("ben", gone=lambda: gone[0])
        await crowd.come("cem")
        gone[0] = True
        await until(lambda: crowd.refused == ["ben overloaded"])
        clock.now += module.WAIT_S
        await until(lambda: crowd.refused == ["ben overloaded", "cem overloaded"])
        await crowd.end("ann")
    assert crowd.order == ["ann"]


async def test_when_too_many_wait_the_one_whose_turn_is_last_is_refused() -> None:
    """A newcomer takes the place of a loud user; among newcomers the last is refused."""
    clock = Clock()
    turns = Turns(1, "lists", OFTEN, clock=clock)
    async with turns.of("loud"):
        clock.now += 1
    async with asyncio.TaskGroup() as group:
        crowd = Crowd(turns, group)
        await crowd.come("ann", "loud", *(f"new-{number}" for number in range(WAITING_MAX - 1)))
        assert crowd.refused == []
        await crowd.come("late")
        assert crowd.refused == ["loud overloaded"]
        await crowd.come("later")
        assert crowd.refused == ["loud overloaded", "later overloaded"]
        for user in [one for one in crowd.ends if one not in {"loud", "later"}]:
            await crowd.end(user)
    assert len(crowd.order) == WAITING_MAX + 1


class Reader:
    """The client of a call, as a test wants it."""

    def __init__(self, pace: float = math.inf, waited_s: float = 0.0) -> None:
        self.pace = lambda: pace
        self.waited = waited_s
        self.ended = False

    def waited_s(self) -> float:
        """As set."""
        return self.waited

    def end(self) -> None:
        """Remember it."""
        self.ended = True


async def test_clients_that_are_slow_or_long_give_way_to_those_who_wait() -> None:
    """As many as wait, and their users wait behind the others."""
    clock = Clock()
    turns = Turns(3, "exports", OFTEN, clock=clock)
    clients = {"phone": Reader(SLOW_BYTES_S), "slow": Reader(SLOW_BYTES_S - 1), "long": Reader(waited_s=TURN_S)}
    async with AsyncExitStack() as stack:
        stacks = {}
        for user, client in clients.items():
            stacks[user] = await stack.enter_async_context(AsyncExitStack())
            (await stacks[user].enter_async_context(turns.of(user))).client = client
        clock.now += TURN_S
        async with asyncio.TaskGroup() as group:
            crowd = Crowd(turns, group)
            await crowd.come("ann")
            await until(lambda: clients["slow"].ended)
            turns._end_one()
            assert not clients["long"].ended
            await stacks["slow"].aclose()
            await until(lambda: crowd.order == ["ann"])

            await crowd.come("slow", "cem", "dan")
            await until(lambda: clients["long"].ended)
            await stacks["long"].aclose()
            await until(lambda: crowd.order == ["ann", "cem"])
            assert not clients["phone"].ended
            clients["phone"].waited = TURN_S
            await until(lambda: clients["phone"].ended)
            await stacks["phone"].aclose()
            await until(lambda: crowd.order == ["ann", "cem", "dan"])
            for user in ("ann", "cem", "dan", "slow"):
                await crowd.end(user)


@pytest.mark.parametrize(("used_s", "wait_s"), [(0.0, TURN_S), (TURN_S - 7, 7.0), (TURN_S + 1, 0.0)])
async def test_who_is_refused_is_told_when_a_turn_is_free(
    monkeypatch: pytest.MonkeyPatch, used_s: float, wait_s: float
) -> None:
    """When the turn in progress is used up, at the latest; of those who were refused, the first to ask is next."""
    monkeypatch.setattr(module, "WAIT_S", 0.0)
    clock = Clock()
    turns = Turns(1, "exports", OFTEN, clock=clock)
    async with AsyncExitStack() as slow:
        (await slow.enter_async_context(turns.of("slow"))).client = Reader(waited_s=used_s)
        clock.now += used_s
        told = int((await refused(turns, "ann")).headers["Retry-After"])
        assert wait_s <= told <= wait_s + 2
        monkeypatch.setattr(module, "WAIT_S", 10.0)
        clock.now += 1
        async with asyncio.TaskGroup() as group:
            crowd = Crowd(turns, group)
            await crowd.come("ben", "ann")
            await slow.aclose()
            await crowd.end("ann")
            await crowd.end("ben")
    assert crowd.order == ["ann", "ben"]
